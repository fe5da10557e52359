"""The decoders of a comparison: each trained under every seed, in two settings, and kept.

- zero-shot: trained on text embeddings alone, so the same for every bridge, unless the bridge brings them to a side of
  its own (`own_text_side`). Kept in decoders/text/SEED and decoders/NAME/SEED.
- supervised: trained on the audio embeddings behind the bridge, so one for each. Kept in decoders-supervised/NAME/SEED.

Each is a folder as train-decoder leaves it. What is there already and was begun with the same settings, embeddings and
bridge is used as it is.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from models.bridge.identity import Identity, IdentityConfig
from models.bridge.interface import Bridge
from models.training.embed import EmbeddingSet
from models.training.train_decoder import DecoderRecipe, InputShares, make_decoder

Setting = Literal["zero-shot", "supervised"]
SETTINGS: tuple[Setting, ...] = ("zero-shot", "supervised")

_INPUTS = {"zero-shot": InputShares(text=1.0, bridged=0.0), "supervised": InputShares(text=0.0, bridged=1.0)}


class CaptionComparisonRecipe(BaseModel):
    """How captions behind every bridge are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: PositiveInt = Field(default=3, ge=2)
    """How many of the comparison's seeds, from the first on: a decoder takes longer to train than a bridge."""
    decoder: DecoderRecipe

    @field_validator("decoder")
    @classmethod
    def _not_set_twice(cls, decoder: DecoderRecipe) -> DecoderRecipe:
        if "inputs" in decoder.model_fields_set or "seed" in decoder.loop.model_fields_set:
            raise ValueError("inputs and loop.seed are the comparison's to set: leave them out")
        return decoder


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
        """Train, or find, the decoder for the bridge `name` under a seed; say where it is.

        Raises:
            TrainingError: a kept one was made by other settings, from other embeddings or for another bridge.
        """
        if setting == "supervised":
            made_from = {**self.pairs.source, "bridge": _fingerprint(bridge)}
            return self._make(setting, f"decoders-supervised/{name}/{seed}", made_from, bridge, seed)
        made_from = {"encoder": self.texts.source["encoder"], "texts": self.texts.source["scenes"]}
        if bridge.own_text_side:
            made_from["bridge"] = _fingerprint(bridge)
            return self._make(setting, f"decoders/{name}/{seed}", made_from, bridge, seed)
        plain = Identity(IdentityConfig(dim=bridge.dim)).to(self.device)
        return self._make(setting, f"decoders/text/{seed}", made_from, plain, seed)

    def _make(self, setting: Setting, folder: str, made_from: dict[str, str], bridge: Bridge, seed: int) -> Path:
        loop = self.recipe.loop.model_copy(update={"seed": seed})
        recipe = self.recipe.model_copy(update={"inputs": _INPUTS[setting], "loop": loop})
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
