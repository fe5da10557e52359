"""The bridges of a comparison: each trained under every seed, or solved once, and kept.

Reads embeddings/, writes bridges/NAME/SEED, a folder as train-bridge leaves it. What is there already and was begun with
the same settings and embeddings is used as it is, so a comparison that was broken off goes on, and one that is run again
gives the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator, model_validator

from models.bridge.interface import Bridge
from models.bridge.store import load_bridge
from models.device import resolve_device
from models.errors import RecipeError
from models.evaluation.caption_comparison import TEXT_DECODER, CaptionComparisonRecipe
from models.evaluation.sweep_recipe import SweepRecipe, varied
from models.training.bridge_recipe import BridgeRecipe, LearnedBridgeRecipe
from models.training.embed import EmbeddingSet
from models.training.train_bridge import make_bridge

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
"""Of a bridge in the tables, and of its folder."""
_Learned = TypeVar("_Learned", bound=LearnedBridgeRecipe)


class ComparisonRecipe(BaseModel):
    """Which bridges are compared, and under which seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[NonNegativeInt, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    """Of training and of the bridge's noise; each takes the place of a bridge's own `loop.seed`."""
    bridges: dict[Name, BridgeRecipe] = Field(min_length=1)
    captions: CaptionComparisonRecipe | None = None
    """Missing where no captions are written."""
    encoder: Path | None = None
    """A CLAP folder: the comparison works with it where the work directory holds no encoder yet."""
    sweeps: tuple[SweepRecipe, ...] = ()

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("the same seed twice would count one run as two")
        return seeds

    @field_validator("bridges")
    @classmethod
    def _names_are_free(cls, bridges: dict[str, BridgeRecipe]) -> dict[str, BridgeRecipe]:
        if TEXT_DECODER in bridges:
            raise ValueError(f"no bridge may have the name {TEXT_DECODER!r}: the decoder that they share is kept under it")
        return bridges

    @model_validator(mode="after")
    def _enough_seeds(self) -> "ComparisonRecipe":
        if self.captions is not None and self.captions.seeds > len(self.seeds):
            raise ValueError(f"captions.seeds is {self.captions.seeds}, and there are {len(self.seeds)} seeds")
        return self

    @model_validator(mode="after")
    def _captioned_bridges_are_there(self) -> "ComparisonRecipe":
        for name in self.captioned:
            if name not in self.bridges:
                raise ValueError(f"captions.bridges: the comparison has no bridge {name!r}")
        return self

    @property
    def captioned(self) -> tuple[str, ...]:
        """The bridges behind which captions are written."""
        if self.captions is None:
            return ()
        return tuple(self.bridges) if self.captions.bridges is None else self.captions.bridges

    @model_validator(mode="after")
    def _sweeps_fit(self) -> "ComparisonRecipe":
        """Every value is tried on the recipe now, not after hours of training."""
        for sweep in self.sweeps:
            label = f"the sweep {sweep.title!r}"
            if sweep.seeds > len(self.seeds):
                raise ValueError(f"{label} asks for {sweep.seeds} seeds, and the comparison has {len(self.seeds)}")
            for name in sweep.bridges:
                if name not in self.bridges:
                    raise ValueError(f"{label}: the comparison has no bridge {name!r}")
                try:
                    for value in sweep.values:
                        varied(self.bridges[name], {**sweep.fixed, sweep.setting: value})
                except ValueError as error:
                    raise ValueError(f"{label}, bridge {name!r}: {error}") from error
        return self

    @property
    def pairs_shares(self) -> dict[str, float]:
        """The share of the training scenes that a bridge sees, of those that do not see all."""
        return {name: bridge.pairs_share for name, bridge in self.bridges.items() if bridge.pairs_share < 1}

    def first_seeds(self, count: int | None) -> "ComparisonRecipe":
        """The same comparison under the first `count` seeds, for a quick look; under all where nothing is said.

        Raises:
            RecipeError: there are not that many.
        """
        if count is None:
            return self
        if not 1 <= count <= len(self.seeds):
            raise RecipeError(f"the recipe has {len(self.seeds)} seeds, so not {count} of them can be taken")
        return self.model_copy(update={"seeds": self.seeds[:count]})

    def first_caption_seeds(self, count: int | None) -> "ComparisonRecipe":
        """The same comparison with captions under the first `count` seeds; under all of theirs where nothing is said.

        Raises:
            RecipeError: captions have not that many seeds, or one alone is asked for, which has no spread.
        """
        if count is None or self.captions is None:
            return self
        if not 2 <= count <= self.captions.seeds:
            raise RecipeError(f"captions are compared under 2 to {self.captions.seeds} of the seeds, so not under {count}")
        return self.model_copy(update={"captions": self.captions.model_copy(update={"seeds": count})})


@dataclass(frozen=True, slots=True)
class BridgeMaker:
    """What all bridges of a comparison are trained on, and where they are kept."""

    work: Path
    device: torch.device
    pairs: EmbeddingSet
    validation: EmbeddingSet

    @classmethod
    def load(cls, work: Path, device: str) -> "BridgeMaker":
        """Read the embeddings.

        Raises:
            TrainingError: they are not there, or are of another encoder or corpus.
            DeviceError: there is no such device.
        """
        return cls(work, resolve_device(device), EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "validation"))

    def bridges(self, name: str, recipe: BridgeRecipe, seeds: Sequence[int]) -> list[Bridge]:
        """The bridge under each seed; a closed form is solved once, and is the same under all.

        Raises:
            TrainingError: a kept one was made by other settings or from other embeddings.
        """
        if isinstance(recipe, LearnedBridgeRecipe):
            return [self._bridge(name, _with_seed(recipe, seed), seed) for seed in seeds]
        return [self._bridge(name, recipe, seeds[0])] * len(seeds)

    def _bridge(self, name: str, recipe: BridgeRecipe, seed: int) -> Bridge:
        directory = self.work / "bridges" / name / str(seed)
        validation = self.validation.first(recipe.validation_scenes)
        label = f"{name}, seed {seed}"
        make_bridge(recipe, directory, self.pairs, validation, self.device, resume=True, name=label)
        return load_bridge(directory / "model", self.device)


def _with_seed(recipe: _Learned, seed: int) -> _Learned:
    return recipe.model_copy(update={"loop": recipe.loop.model_copy(update={"seed": seed})})
