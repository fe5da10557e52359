"""Diffusion-Link (Nam et al. 2025, arXiv 2510.11330), our reconstruction: denoiser, schedule, loss, sampler in one.

An audio embedding is seen from the audio mean, scaled to norm s, entered into the diffusion at the start step, walked
back to step 0, and placed at the same direction seen from the text mean.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from models.bridge.learned import LearnedBridge, LearnedBridgeConfig, seen_directions
from models.bridge.loss import LossConfig, bridge_loss, draw_noise
from models.bridge.sampler import SamplingConfig, enter, mean_of_samples, sample, there_and_back
from models.bridge.schedule import NUM_STEPS, CosineSchedule
from models.bridge.statistics import EmbeddingStatistics, mean_paired_cosine


class DiffusionLinkConfig(LearnedBridgeConfig):
    """All that is needed to build the bridge again."""

    kind: Literal["diffusion-link"] = "diffusion-link"
    sampling: SamplingConfig
    augmentation_step: int | None = Field(default=None, ge=1, le=NUM_STEPS)
    """To which texts that a decoder is trained on are noised before they are walked back; without it they are not."""
    loss: LossConfig = LossConfig()


class DiffusionLink(LearnedBridge):
    """The bridge of the paper behind the common interface, and its training loss."""

    config: DiffusionLinkConfig

    def __init__(self, config: DiffusionLinkConfig, statistics: EmbeddingStatistics) -> None:
        """Build a bridge that moves directions from mean to mean until trained; `statistics` become part of it."""
        super().__init__(config, statistics)
        self.schedule = CosineSchedule()

    @classmethod
    def empty(cls, config: DiffusionLinkConfig) -> "DiffusionLink":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Carry audio embeddings over; without noise at entry the seeds change nothing."""
        sampling = self.config.sampling
        z_start = enter(self.audio_vectors(audio_embeddings), self.schedule, sampling, seeds)
        z_0 = sample(self.denoiser, self.schedule, sampling, z_start)
        return self.text_embeddings(mean_of_samples(z_0, sampling.num_samples))

    @property
    def augments_texts(self) -> bool:
        """With an `augmentation_step`, they are noised and walked back."""
        return self.config.augmentation_step is not None

    def noised_text_side(
        self, text_embeddings: Float[Tensor, "rows dim"], noise: Float[Tensor, "rows dim"], variance: float
    ) -> Float[Tensor, "rows dim"]:
        """Texts noised to the `augmentation_step` and walked back; without one as everywhere. See `there_and_back`."""
        step = self.config.augmentation_step
        if step is None:
            return super().noised_text_side(text_embeddings, noise, variance)
        return self.text_embeddings(
            there_and_back(
                self.denoiser,
                self.schedule,
                self.text_vectors(text_embeddings),
                noise,
                start_step=step,
                num_sampling_steps=self.config.sampling.num_sampling_steps,
            )
        )

    def losses(
        self,
        audio_embeddings: Float[Tensor, "batch dim"],
        text_embeddings: Float[Tensor, "batch dim"],
        generator: torch.Generator,
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Cross-sample prediction and topology of a batch of pairs, at steps and with noise from `generator`."""
        audio, text = self.audio_vectors(audio_embeddings), self.text_vectors(text_embeddings)
        noised = draw_noise(text, self.schedule.num_steps, generator)
        loss = bridge_loss(self.denoiser, self.schedule, self.config.loss, audio, text, noised)
        return {"loss": loss.total, "text": loss.text, "audio": loss.audio, "topology": loss.topology}


def natural_start_step(
    audio_embeddings: Float[Tensor, "pairs dim"], text_embeddings: Float[Tensor, "pairs dim"], *, centred: bool
) -> int:
    """Step at which a noised text vector is, on average, as far from its text as the audio vector of the pair.

    It depends on the pairs alone, so `SamplingConfig.start_step` can be set before anything is trained.
    """
    statistics = EmbeddingStatistics.fit(audio_embeddings, text_embeddings)
    audio = seen_directions(audio_embeddings, statistics.audio_mean, centred)
    text = seen_directions(text_embeddings, statistics.text_mean, centred)
    return CosineSchedule().start_step_for_cosine(mean_paired_cosine(audio, text))
