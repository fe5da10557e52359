"""Diffusion-Link (Nam et al. 2025, arXiv 2510.11330), our reconstruction: denoiser, schedule, loss, sampler in one.

An audio embedding is seen from the audio mean, scaled to norm s, entered into the diffusion at the start step, walked
back to step 0, and placed at the same direction seen from the text mean. The result lies in CLAP's own text space: it
can be searched with CLAP text embeddings and read by a decoder trained on them.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.denoiser import Denoiser, DenoiserConfig
from models.bridge.interface import Bridge, BridgeConfig
from models.bridge.loss import BridgeLoss, LossConfig, bridge_loss, draw_noise
from models.bridge.sampler import SamplingConfig, enter, sample
from models.bridge.schedule import CosineSchedule
from models.bridge.statistics import EmbeddingStatistics, direction_from, embedding_towards, mean_paired_cosine


class DiffusionLinkConfig(BridgeConfig):
    """All that is needed to build the bridge again; weights and statistics come from the safetensors file."""

    kind: Literal["diffusion-link"] = "diffusion-link"
    centred: bool = True
    """Whether each modality is seen from its own mean."""
    denoiser: DenoiserConfig = DenoiserConfig()
    sampling: SamplingConfig
    loss: LossConfig = LossConfig()


class DiffusionLink(Bridge):
    """The bridge of the paper behind the common interface, and its training loss."""

    config: DiffusionLinkConfig

    def __init__(self, config: DiffusionLinkConfig, statistics: EmbeddingStatistics) -> None:
        """Build a bridge that moves directions from mean to mean until trained; `statistics` become part of it."""
        super().__init__()
        self.config = config
        self.statistics = statistics
        self.schedule = CosineSchedule()
        self.denoiser = Denoiser(config.dim, config.denoiser)

    @classmethod
    def empty(cls, config: DiffusionLinkConfig) -> "DiffusionLink":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    def audio_vectors(self, audio_embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Bring audio embeddings into the diffusion's space: centred where so configured, norm s."""
        return self._vectors(audio_embeddings, self.statistics.audio_mean)

    def text_vectors(self, text_embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Bring text embeddings into the diffusion's space: centred where so configured, norm s."""
        return self._vectors(text_embeddings, self.statistics.text_mean)

    def text_embeddings(self, text_vectors: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Bring vectors of the diffusion's space back to unit text embeddings: the inverse of `text_vectors`."""
        directions = functional.normalize(text_vectors, dim=1)
        return embedding_towards(directions, self.statistics.text_mean) if self.config.centred else directions

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Carry audio embeddings over; without noise at entry the seeds change nothing."""
        z_start = enter(self.audio_vectors(audio_embeddings), self.schedule, self.config.sampling, seeds)
        return self.text_embeddings(sample(self.denoiser, self.schedule, self.config.sampling, z_start))

    def loss(
        self,
        audio_embeddings: Float[Tensor, "batch dim"],
        text_embeddings: Float[Tensor, "batch dim"],
        generator: torch.Generator,
    ) -> BridgeLoss:
        """Training loss of a batch of pairs, at steps and with noise from `generator`."""
        audio, text = self.audio_vectors(audio_embeddings), self.text_vectors(text_embeddings)
        noised = draw_noise(text, self.schedule.num_steps, generator)
        return bridge_loss(self.denoiser, self.schedule, self.config.loss, audio, text, noised)

    def _vectors(self, embeddings: Float[Tensor, "batch dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "batch dim"]:
        return self.statistics.scale * _directions(embeddings, mean, self.config.centred)


def natural_start_step(
    audio_embeddings: Float[Tensor, "pairs dim"], text_embeddings: Float[Tensor, "pairs dim"], *, centred: bool
) -> int:
    """Step at which a noised text vector is, on average, as far from its text as the audio vector of the pair.

    It depends on the pairs alone, so `SamplingConfig.start_step` can be set before anything is trained.
    """
    statistics = EmbeddingStatistics.fit(audio_embeddings, text_embeddings)
    audio = _directions(audio_embeddings, statistics.audio_mean, centred)
    text = _directions(text_embeddings, statistics.text_mean, centred)
    return CosineSchedule().start_step_for_cosine(mean_paired_cosine(audio, text))


def _directions(
    embeddings: Float[Tensor, "batch dim"], mean: Float[Tensor, " dim"], centred: bool
) -> Float[Tensor, "batch dim"]:
    return direction_from(embeddings, mean if centred else torch.zeros_like(mean))
