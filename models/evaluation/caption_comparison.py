"""The decoders of a comparison: each trained under every seed, in three settings, and kept.

- zero-shot: trained on text embeddings with CapDec's noise, one for all bridges. Only a bridge whose texts lie in a space
  of its own (`own_text_space`) has one of its own. Kept in decoders/text/SEED and decoders/NAME/SEED.
- zero-shot, augmented: trained on text embeddings that went through a bridge (`augments_texts`): through the first
  Diffusion-Link that augments texts, and one for all bridges again, but for others that augment texts themselves. Without
  such a Diffusion-Link there is no such setting, and nobody with a text space of his own takes part. In decoders/NAME/SEED.
- supervised: trained on the audio embeddings behind the bridge, so one for each. Kept in decoders-supervised/NAME/SEED.

Each is a folder as train-decoder leaves it. What is there already and was begun with the same settings, embeddings and
bridge is used as it is.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from models.bridge.identity import Identity, IdentityConfig
from models.bridge.interface import Bridge
from models.evaluation.gap_report import OURS
from models.training.decoder_recipe import DecoderRecipe, InputShares
from models.training.embed import EmbeddingSet
from models.training.train_decoder import make_decoder

Setting = Literal["zero-shot", "zero-shot, augmented", "supervised"]
SETTINGS: tuple[Setting, ...] = ("zero-shot", "zero-shot, augmented", "supervised")
TEXT_DECODER = "text"
"""Folder of the decoder that all bridges share: the name of no bridge."""

_READS, _HEARS = InputShares(text=1.0, bridged=0.0), InputShares(text=0.0, bridged=1.0)


class CaptionComparisonRecipe(BaseModel):
    """How captions behind every bridge are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: PositiveInt = Field(default=3, ge=2)
    """How many of the comparison's seeds, from the first on: a decoder takes longer to train than a bridge."""
    bridges: tuple[str, ...] | None = None
    """Which bridges of the comparison, for the same reason; all of them where nothing is said."""
    decoder: DecoderRecipe

    @field_validator("decoder")
    @classmethod
    def _not_set_twice(cls, decoder: DecoderRecipe) -> DecoderRecipe:
        if "inputs" in decoder.model_fields_set or "seed" in decoder.loop.model_fields_set:
            raise ValueError("inputs and loop.seed are the comparison's to set: leave them out")
        return decoder


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """Which decoder stands behind a bridge in a setting."""

    teacher: str
    """The bridge for which it is trained."""
    own: bool
    """Whether it reads this bridge alone while the others share one; never so in the supervised setting: nobody shares."""


def augmenter(bridges: Mapping[str, Bridge]) -> str | None:
    """The bridge through which the texts of the shared augmented decoder go, if there is one."""
    ours = (name for name, bridge in bridges.items() if bridge.config.kind == OURS and bridge.augments_texts)
    return next(ours, None)


def decoder_choices(setting: Setting, bridges: Mapping[str, Bridge]) -> dict[str, DecoderChoice]:
    """The decoder behind each bridge that takes part in a setting."""
    if setting == "supervised":
        return {name: DecoderChoice(name, own=False) for name in bridges}
    if setting == "zero-shot":
        return {name: DecoderChoice(name, own=bridge.own_text_space) for name, bridge in bridges.items()}
    shared = augmenter(bridges)
    if shared is None:
        return {}
    return {
        name: DecoderChoice(name, own=name != shared) if bridge.augments_texts else DecoderChoice(shared, own=False)
        for name, bridge in bridges.items()
        if not bridge.own_text_space
    }


@dataclass(frozen=True, slots=True)
class DecoderMaker:
    """What all decoders of a comparison are trained on, and where they are kept."""

    work: Path
    device: torch.device
    recipe: DecoderRecipe
    pairs: EmbeddingSet
    """The scenes whose bridged audio supervised decoders are trained on."""
    texts: EmbeddingSet
    """The captions whose embeddings zero-shot decoders are trained on."""
    validation: EmbeddingSet

    def make(self, setting: Setting, name: str, bridge: Bridge, seed: int) -> Path:
        """Train, or find, the decoder for the bridge `name`, its `teacher`, under a seed; say where it is.

        Raises:
            TrainingError: a kept one was made by other settings, from other embeddings or for another bridge.
        """
        if setting == "supervised":
            made_from = {**self.pairs.source, "bridge": _fingerprint(bridge)}
            return self._make(_HEARS, f"decoders-supervised/{name}/{seed}", made_from, bridge, seed)
        made_from = {"encoder": self.texts.source["encoder"], "texts": self.texts.source["scenes"]}
        if bridge.own_text_space or setting == "zero-shot, augmented":
            made_from["bridge"] = _fingerprint(bridge)
            return self._make(_READS, f"decoders/{name}/{seed}", made_from, bridge, seed)
        plain = Identity(IdentityConfig(dim=bridge.dim)).to(self.device)
        return self._make(_READS, f"decoders/{TEXT_DECODER}/{seed}", made_from, plain, seed)

    def _make(self, inputs: InputShares, folder: str, made_from: dict[str, str], bridge: Bridge, seed: int) -> Path:
        loop = self.recipe.loop.model_copy(update={"seed": seed})
        recipe = self.recipe.model_copy(update={"inputs": inputs, "loop": loop})
        directory, validation = self.work / folder, self.validation.first(recipe.validation_scenes)
        make_decoder(
            recipe, directory, made_from, self.pairs, self.texts, validation, bridge, self.device, resume=True, name=folder
        )
        return directory / "model"


def _fingerprint(bridge: Bridge) -> str:
    """One sha256 over a bridge's settings and weights."""
    digest = hashlib.sha256(bridge.config.model_dump_json().encode())
    for name, tensor in sorted(bridge.state_dict().items()):
        digest.update(name.encode() + b"\0" + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
