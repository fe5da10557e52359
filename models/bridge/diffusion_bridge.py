"""Diffusion Bridge (Lee et al., CVPR 2025): a diffusion model of texts alone, entered midway with an audio vector.

After the authors' code: x_0 = 5 · normalise(normalise(e) - μ) with each modality's own mean μ, cosine schedule, T =
1000, x_0 predicted, squared error weighted by the signal-to-noise ratio, what the network sees always brought to norm
5. The audio vector is entered at step 600 without noise, and walked back in 5 DDIM steps, brought to norm 5 before
each. The decoder is trained on texts that were noised to step 400 and walked back likewise.

Two things differ from theirs: the network is Diffusion-Link's MLP in place of a one-dimensional U-Net, so that only the
method is compared; and the result, which they leave as a direction seen from the text mean, is placed back in CLAP's
text space. No pair is ever seen: of the audio only the mean is known.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from models.bridge.learned import LearnedBridge, LearnedBridgeConfig
from models.bridge.loss import draw_noise
from models.bridge.sampler import SamplingConfig, enter, mean_of_samples, sample, there_and_back
from models.bridge.schedule import NUM_STEPS, CosineSchedule
from models.bridge.statistics import EmbeddingStatistics


class DiffusionBridgeConfig(LearnedBridgeConfig):
    """Where to enter and how to walk; the norm of 5 is a statistic, `EmbeddingStatistics.scale`."""

    kind: Literal["diffusion-bridge"] = "diffusion-bridge"
    sampling: SamplingConfig = SamplingConfig(start_step=600, num_sampling_steps=5)
    augmentation_step: int = Field(default=400, ge=1, le=NUM_STEPS)
    """To which texts that a decoder is trained on are noised before they are walked back."""


class DiffusionBridge(LearnedBridge):
    """Text-only diffusion behind the common interface, and its training loss."""

    config: DiffusionBridgeConfig

    def __init__(self, config: DiffusionBridgeConfig, statistics: EmbeddingStatistics) -> None:
        """Build the untrained bridge; `statistics` become part of it."""
        super().__init__(config, statistics)
        self.schedule = CosineSchedule()

    @classmethod
    def empty(cls, config: DiffusionBridgeConfig) -> "DiffusionBridge":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Carry audio embeddings over; without noise at entry the seeds change nothing."""
        sampling = self.config.sampling
        z_start = enter(self.audio_vectors(audio_embeddings), self.schedule, sampling, seeds)
        z_0 = sample(self._denoise, self.schedule, sampling, z_start, norm=self.statistics.scale)
        return self.text_embeddings(mean_of_samples(z_0, sampling.num_samples))

    @property
    def augments_texts(self) -> bool:
        """They are noised and walked back."""
        return True

    def noised_text_side(
        self, text_embeddings: Float[Tensor, "rows dim"], noise: Float[Tensor, "rows dim"], variance: float
    ) -> Float[Tensor, "rows dim"]:
        """Texts noised to the `augmentation_step` and walked back; see `there_and_back`."""
        return self.text_embeddings(
            there_and_back(
                self._denoise,
                self.schedule,
                self.text_vectors(text_embeddings),
                noise,
                start_step=self.config.augmentation_step,
                num_sampling_steps=self.config.sampling.num_sampling_steps,
                norm=self.statistics.scale,
            )
        )

    def losses(
        self,
        audio_embeddings: Float[Tensor, "batch dim"],
        text_embeddings: Float[Tensor, "batch dim"],
        generator: torch.Generator,
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Mean of ᾱ_k / (1 - ᾱ_k) · |f(t_k, k) - t|², squares averaged over coordinates; the audio is not looked at."""
        text = self.text_vectors(text_embeddings)
        noised = draw_noise(text, self.schedule.num_steps, generator)
        predicted = self._denoise(self.schedule.q_sample(text, noised.k, noised.text_noise), noised.k)
        error = (predicted - text).square().mean(dim=1)
        return {"loss": (self.schedule.signal_to_noise(noised.k) * error).mean(), "text": error.mean()}

    def _denoise(self, z_k: Float[Tensor, "batch dim"], k: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        predicted: Tensor = self.denoiser(self.statistics.scale * functional.normalize(z_k, dim=1), k)
        return predicted
