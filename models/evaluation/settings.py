"""What a recipe says about the evaluation, and the base of every table that it measures."""

from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

Split = Literal["validation", "test"]


def report_folder(work: Path, name: str, split: Split) -> Path:
    """Where a report is written: that of the validation split apart, so that it can never be taken for the test split's."""
    return work / (name if split == "test" else f"{name}-{split}")


class Figures(BaseModel):
    """Measured numbers: frozen, and never NaN or infinite, so that the report is strict JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Measured = TypeVar("Measured", bound=Figures)


class Paired(Figures, Generic[Measured]):
    """The same measurement with the bridge and without it, the rest equal."""

    bridged: Measured
    raw: Measured


class EvaluateRecipe(BaseModel):
    """The section `[evaluate]` of a recipe; captions are written with POST /caption's defaults unless it says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    split: Split = "test"
    """Which recordings and scenes are measured; settings are chosen on "validation", never on "test"."""
    seed: NonNegativeInt = 0
    """Of the bridge's noise, sampled candidates, and the choice of the captions that are shown."""
    sample_captions: NonNegativeInt = 5
    """How many captions of single recordings, and of scenes, are printed beside the truth."""
    candidates: PositiveInt = 1
    """Captions written for each clip; the one with the best score counts."""
    max_new_tokens: PositiveInt = 32
    gap_seeds: PositiveInt = Field(default=3, ge=2)
    """The modality gap is measured with this many seeds of noise and of the probe's halves; its spread is over them."""
    embed_batch_size: PositiveInt = 32
    """Windows, or scenes, in a batch of the audio tower."""
    caption_batch_size: PositiveInt = 64
    """Captions written at once."""
