"""The control that shows what diffusion itself is worth: Diffusion-Link's network, trained as plain regression.

f(a), with no noise, no steps and no seeds, fitted to |f(a) - t|². The network is the very same, timestep embedding
included, so that it has as many parameters; its step is always 0.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.learned import LearnedBridge, LearnedBridgeConfig
from models.bridge.statistics import EmbeddingStatistics


class MlpRegressionConfig(LearnedBridgeConfig):
    """Nothing to set but the network."""

    kind: Literal["mlp-regression"] = "mlp-regression"


class MlpRegression(LearnedBridge):
    """f(a); moves directions from mean to mean until trained."""

    config: MlpRegressionConfig

    @classmethod
    def empty(cls, config: MlpRegressionConfig) -> "MlpRegression":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Carry audio embeddings over in one pass."""
        return self.text_embeddings(self._predict(self.audio_vectors(audio_embeddings)))

    def losses(
        self,
        audio_embeddings: Float[Tensor, "batch dim"],
        text_embeddings: Float[Tensor, "batch dim"],
        generator: torch.Generator,
    ) -> Mapping[str, Float[Tensor, ""]]:
        """|f(a) - t|², a mean over batch and coordinates as in `bridge_loss`; `generator` is not used."""
        predicted = self._predict(self.audio_vectors(audio_embeddings))
        return {"loss": functional.mse_loss(predicted, self.text_vectors(text_embeddings))}

    def _predict(self, audio: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        predicted: Tensor = self.denoiser(audio, torch.zeros(len(audio), dtype=torch.int64, device=audio.device))
        return predicted
