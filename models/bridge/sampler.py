"""From an audio vector to a text vector: enter the schedule midway, walk back to step 0 without randomness.

Deterministic DDIM (Song et al. 2021, arXiv 2010.02502, equation 12 with η = 0) over a network that predicts z_0. Noise,
where any is added, comes in at the entry alone, from one seed for each row.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import FrozenConfig
from models.bridge.loss import Denoise
from models.bridge.schedule import NUM_STEPS, CosineSchedule


class SamplingConfig(FrozenConfig):
    """Where to enter and how to walk."""

    start_step: int = Field(ge=1, le=NUM_STEPS)
    """k0; see `CosineSchedule.start_step_for_cosine`."""
    num_sampling_steps: PositiveInt = 5
    noise_scale: float = Field(default=0.0, ge=0.0, le=1.0)
    """Noise at entry: 0 enters the audio vector as it is, 1 noises it fully to k0."""

    @model_validator(mode="after")
    def _steps_fit(self) -> "SamplingConfig":
        if self.num_sampling_steps > self.start_step:
            raise ValueError("num_sampling_steps must not exceed start_step")
        return self


def seeded_noise(seeds: Sequence[int], dim: int) -> Float[Tensor, "batch dim"]:
    """Standard normal rows, row i from seeds[i] alone; drawn on the CPU: the same bits for every device and batch."""
    rows = [torch.randn(dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, dim)


def enter(
    audio: Float[Tensor, "batch dim"], schedule: CosineSchedule, config: SamplingConfig, seeds: Sequence[int]
) -> Float[Tensor, "batch dim"]:
    """z_k0 = sqrt(1 - n²(1 - ᾱ_k0)) a + n sqrt(1 - ᾱ_k0) ε, with n the `noise_scale`.

    For n = 1 this is the forward process; for n = 0 it is the audio vector, which by the geometry of the schedule
    already looks like a noised text vector. In between the expected norm stays that of a vector of norm sqrt(dim).
    """
    if config.noise_scale == 0:
        return audio
    noise_variance = config.noise_scale**2 * (1 - schedule.alpha_bar[config.start_step])
    noise = seeded_noise(seeds, audio.shape[1]).to(audio)
    return (1 - noise_variance).sqrt() * audio + noise_variance.sqrt() * noise


def sampling_steps(start_step: int, num_sampling_steps: int) -> list[int]:
    """The `num_sampling_steps` + 1 steps walked over, evenly spaced from `start_step` to 0."""
    return [round(start_step * (num_sampling_steps - i) / num_sampling_steps) for i in range(num_sampling_steps + 1)]


@torch.no_grad()
def sample(
    denoise: Denoise,
    schedule: CosineSchedule,
    config: SamplingConfig,
    z_start: Float[Tensor, "batch dim"],
    norm: Float[Tensor, ""] | None = None,
) -> Float[Tensor, "batch dim"]:
    """Walk from z_k0 to z_0.

    At each step ε̂ = (z_k - sqrt(ᾱ_k) ẑ_0) / sqrt(1 - ᾱ_k), and z_j = sqrt(ᾱ_j) ẑ_0 + sqrt(1 - ᾱ_j) ε̂ for the next
    step j < k. With `norm`, z_k is brought to that norm before each step (Lee et al., CVPR 2025).
    """
    z = z_start
    steps = sampling_steps(config.start_step, config.num_sampling_steps)
    for k, j in pairwise(steps):
        if norm is not None:
            z = norm * functional.normalize(z, dim=1)
        predicted = denoise(z, torch.full((len(z),), k, dtype=torch.int64, device=z.device))
        alpha_bar_k, alpha_bar_j = schedule.alpha_bar[k], schedule.alpha_bar[j]
        noise = (z - alpha_bar_k.sqrt() * predicted) / (1 - alpha_bar_k).sqrt()
        z = alpha_bar_j.sqrt() * predicted + (1 - alpha_bar_j).sqrt() * noise
    return z
