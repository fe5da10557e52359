"""Augmentation of log-mel spectrograms while training: what costs too much to vary in every stored scene.

Works on whole batches in dB, every row with its own draw, all from one generator.
"""

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor
from torch.nn import functional

_FLOOR_DB = -100.0
_EQUALISER_POINTS = 6


class SpectrogramAugmentSettings(BaseModel):
    """How far each change may go; 0 leaves it out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gain_db: NonNegativeFloat = 6.0
    equaliser_db: NonNegativeFloat = 6.0
    """Of a random smooth curve over frequency."""
    mel_shift: NonNegativeInt = 2
    """Mel bands up or down: about a pitch shift."""
    background_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Rows that get another row of the batch as a background."""
    background_db: tuple[float, float] = (-30.0, -10.0)
    """Level of the background below the row."""
    time_mask_frames: NonNegativeInt = 100
    """Longest of two masked spans (SpecAugment, Park et al. 2019, arXiv 1904.08779)."""
    mel_mask_bands: NonNegativeInt = 12
    """Widest of two masked bands."""


@torch.no_grad()
def augment_log_mel(
    log_mel: Float[Tensor, "batch frames mels"], settings: SpectrogramAugmentSettings, generator: torch.Generator
) -> Float[Tensor, "batch frames mels"]:
    """Change each spectrogram; what it shows stays the same."""
    batch, frames, mels = log_mel.shape
    x = _add_background(log_mel, settings, generator)
    x = x + _uniform((batch, 1, 1), settings.gain_db, generator)
    points = _uniform((batch, 1, _EQUALISER_POINTS), settings.equaliser_db, generator)
    x = x + functional.interpolate(points, size=mels, mode="linear", align_corners=True)
    x = _roll(x, frames, settings.mel_shift, generator).clamp(min=_FLOOR_DB)
    for _ in range(2):
        x = x.masked_fill(_spans(batch, frames, settings.time_mask_frames, generator).unsqueeze(2), _FLOOR_DB)
        x = x.masked_fill(_spans(batch, mels, settings.mel_mask_bands, generator).unsqueeze(1), _FLOOR_DB)
    return x


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


def _add_background(x: Tensor, settings: SpectrogramAugmentSettings, generator: torch.Generator) -> Tensor:
    """Add, in power, the batch's previous row at a lower level to some rows."""
    chosen = (torch.rand(len(x), generator=generator) < settings.background_share).nonzero().squeeze(1)
    low, high = settings.background_db
    levels = low + (high - low) * torch.rand(len(chosen), 1, 1, generator=generator)
    other = x[chosen - 1]
    # Level against the loudest band of both, since mean power says little of short sounds.
    levels = levels + x[chosen].amax(dim=(1, 2), keepdim=True) - other.amax(dim=(1, 2), keepdim=True)
    powers = 10 ** (x[chosen] / 10) + 10 ** ((other + levels) / 10)
    x = x.clone()
    x[chosen] = 10 * powers.log10()
    return x


def _roll(x: Tensor, frames: int, mel_shift: int, generator: torch.Generator) -> Tensor:
    """Turn each row round in time by any amount, and move it over a few mel bands; edges repeat."""
    turn = torch.randint(frames, (len(x), 1), generator=generator)
    at_frames = (torch.arange(frames) + turn) % frames
    shift = torch.randint(-mel_shift, mel_shift + 1, (len(x), 1), generator=generator)
    at_mels = (torch.arange(x.shape[2]) + shift).clamp(0, x.shape[2] - 1)
    rows = torch.arange(len(x)).view(-1, 1, 1)
    return x[rows, at_frames.unsqueeze(2), at_mels.unsqueeze(1)]


def _spans(batch: int, length: int, longest: int, generator: torch.Generator) -> Tensor:
    """A mask of one span for each row, its length uniform up to `longest`."""
    size = torch.randint(longest + 1, (batch, 1), generator=generator)
    start = torch.randint(length, (batch, 1), generator=generator)
    places = torch.arange(length)
    return (places >= start) & (places < start + size)
