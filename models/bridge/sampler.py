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
    num_samples: PositiveInt = 1
    """Walks of one row, each from noise of its own, whose ends are averaged; more than 1 needs noise at entry."""

    @model_validator(mode="after")
    def _steps_fit(self) -> "SamplingConfig":
        if self.num_sampling_steps > self.start_step:
            raise ValueError("num_sampling_steps must not exceed start_step")
        check_samples_differ(self.num_samples, self.noise_scale)
        return self


def check_samples_differ(num_samples: int, noise_scale: float) -> None:
    """Several samples are of use only where noise makes them differ.

    Raises:
        ValueError: they would all be the same.
    """
    if num_samples > 1 and noise_scale == 0:
        raise ValueError("num_samples above 1 needs a noise_scale above 0: without noise all samples are the same")


def seeded_noise(seeds: Sequence[int], dim: int, num_samples: int = 1) -> Float[Tensor, "rows dim"]:
    """Standard normal rows, `num_samples` from each seed alone, standing together.

    Drawn on the CPU: the same bits for every device and batch.
    """
    rows = [torch.randn(num_samples, dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.cat(rows) if rows else torch.empty(0, dim)


def enter(
    audio: Float[Tensor, "batch dim"], schedule: CosineSchedule, config: SamplingConfig, seeds: Sequence[int]
) -> Float[Tensor, "rows dim"]:
    """z_k0 = sqrt(1 - n²(1 - ᾱ_k0)) a + n sqrt(1 - ᾱ_k0) ε, with n the `noise_scale`; `num_samples` rows for each a.

    For n = 1 this is the forward process; for n = 0 it is the audio vector, which by the geometry of the schedule
    already looks like a noised text vector. In between the expected norm stays that of a vector of norm sqrt(dim).
    """
    if config.noise_scale == 0:
        return audio
    noise_variance = config.noise_scale**2 * (1 - schedule.alpha_bar[config.start_step])
    noise = seeded_noise(seeds, audio.shape[1], config.num_samples).to(audio)
    repeated = audio.repeat_interleave(config.num_samples, dim=0)
    return (1 - noise_variance).sqrt() * repeated + noise_variance.sqrt() * noise


def mean_of_samples(z_0: Float[Tensor, "rows dim"], num_samples: int) -> Float[Tensor, "batch dim"]:
    """Mean over the `num_samples` rows that `enter` made of each row."""
    return z_0.reshape(-1, num_samples, z_0.shape[1]).mean(dim=1)


def there_and_back(
    denoise: Denoise,
    schedule: CosineSchedule,
    text: Float[Tensor, "batch dim"],
    noise: Float[Tensor, "batch dim"],
    *,
    start_step: int,
    num_sampling_steps: int,
    norm: Float[Tensor, ""] | None = None,
) -> Float[Tensor, "batch dim"]:
    """Noise text vectors to a step and walk them back: the diffusion augmentation of Lee et al., CVPR 2025.

    What comes back is what the network makes of a text that it can see about as badly as it sees audio. A decoder that
    has learned from such texts knows how far a bridged vector is to be trusted.
    """
    config = SamplingConfig(start_step=start_step, num_sampling_steps=min(num_sampling_steps, start_step))
    k = torch.full((len(text),), start_step, dtype=torch.int64, device=text.device)
    return sample(denoise, schedule, config, schedule.q_sample(text, k, noise), norm)


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
