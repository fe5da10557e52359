"""A conditional prior: text vectors generated from pure noise, with the audio vector as the condition.

After the diffusion prior of DALL-E 2 (Ramesh et al. 2022, arXiv 2204.06125, section 2.2): the clean vector itself is
predicted, under a squared error, at norm sqrt(dim). It stands for DiffGAP (Mo et al. 2025, arXiv 2503.12131), which
denoises one modality conditioned on another and whose code is not at hand.

The network is Diffusion-Link's MLP in place of a transformer. z_k and condition are merged by one linear map before it.
There is no guidance, and one sample is drawn, where DALL-E 2 keeps the better of two.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from models.bridge.learned import LearnedBridge, LearnedBridgeConfig
from models.bridge.loss import draw_noise
from models.bridge.sampler import SamplingConfig, sample, seeded_noise
from models.bridge.schedule import NUM_STEPS, CosineSchedule
from models.bridge.statistics import EmbeddingStatistics


class ConditionalPriorConfig(LearnedBridgeConfig):
    """How many steps are walked; they always begin at T."""

    kind: Literal["conditional-prior"] = "conditional-prior"
    num_sampling_steps: int = Field(default=50, ge=1, le=NUM_STEPS)


class ConditionalPrior(LearnedBridge):
    """The prior behind the common interface, and its training loss."""

    config: ConditionalPriorConfig

    def __init__(self, config: ConditionalPriorConfig, statistics: EmbeddingStatistics) -> None:
        """Build a bridge that heeds the audio alone, and moves its direction from mean to mean, until trained."""
        super().__init__(config, statistics)
        self.schedule = CosineSchedule()
        self.merge = nn.Linear(2 * config.dim, config.dim)
        with torch.no_grad():
            self.merge.weight.copy_(torch.cat([torch.zeros(config.dim, config.dim), torch.eye(config.dim)], dim=1))
        nn.init.zeros_(self.merge.bias)

    @classmethod
    def empty(cls, config: ConditionalPriorConfig) -> "ConditionalPrior":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Generate a text embedding for each audio embedding, from the noise of its seed."""
        audio = self.audio_vectors(audio_embeddings)

        def denoise(z_k: Float[Tensor, "batch dim"], k: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
            return self._denoise(z_k, k, audio)

        config = SamplingConfig(start_step=NUM_STEPS, num_sampling_steps=self.config.num_sampling_steps)
        return self.text_embeddings(sample(denoise, self.schedule, config, seeded_noise(seeds, self.dim).to(audio)))

    def losses(
        self,
        audio_embeddings: Float[Tensor, "batch dim"],
        text_embeddings: Float[Tensor, "batch dim"],
        generator: torch.Generator,
    ) -> Mapping[str, Float[Tensor, ""]]:
        """|f(t_k, k, a) - t|² (Ramesh et al. 2022, section 2.2), a mean over batch and coordinates."""
        audio, text = self.audio_vectors(audio_embeddings), self.text_vectors(text_embeddings)
        noised = draw_noise(text, self.schedule.num_steps, generator)
        z_k = self.schedule.q_sample(text, noised.k, noised.text_noise)
        return {"loss": functional.mse_loss(self._denoise(z_k, noised.k, audio), text)}

    def _denoise(
        self, z_k: Float[Tensor, "batch dim"], k: Int[Tensor, " batch"], audio: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        predicted: Tensor = self.denoiser(self.merge(torch.cat([z_k, audio], dim=1)), k)
        return predicted
