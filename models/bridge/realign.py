"""ReAlign (Yu et al. 2026, arXiv 2602.07026): anchor, trace and centroid alignment, from unpaired statistics alone.

The paper takes texts to images; here it is audio to text.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge, BridgeConfig
from models.bridge.statistics import EmbeddingStatistics, mean_unit_vector


class ReAlignConfig(BridgeConfig):
    """Nothing to set."""

    kind: Literal["realign"] = "realign"


class ReAlign(Bridge):
    """normalise(e - μ_e + μ_t), with e = normalise(μ_t + c (a - μ_a)) and c² = tr Σ_t / tr Σ_a.

    μ_t is the anchor, c matches the traces of the covariances. Bringing e to unit length moves its centroid to μ_e, which
    is taken back to μ_t. The last step to unit length is the interface's.
    """

    config: ReAlignConfig
    trace_scale: Tensor
    moved_mean: Tensor

    def __init__(self, config: ReAlignConfig, statistics: EmbeddingStatistics) -> None:
        """Hold the means; c = 1 and μ_e = μ_t until fitted."""
        super().__init__()
        self.config = config
        self.statistics = statistics
        self.register_buffer("trace_scale", torch.ones(()))
        self.register_buffer("moved_mean", statistics.text_mean.clone())

    @classmethod
    def empty(cls, config: ReAlignConfig) -> "ReAlign":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    @classmethod
    def fit(cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> "ReAlign":
        """Measure means, traces, and the centroid μ_e that the audio is moved to."""
        bridge = cls(ReAlignConfig(dim=audio.shape[1]), EmbeddingStatistics.fit(audio, text))
        # The bound matters only if all training audio agrees; c is then of no consequence.
        audio_trace = _trace(audio, bridge.statistics.audio_mean).clamp(min=torch.finfo(torch.float32).tiny)
        bridge.trace_scale.copy_((_trace(text, bridge.statistics.text_mean) / audio_trace).sqrt())
        bridge.moved_mean.copy_(mean_unit_vector(bridge._moved(audio)))
        return bridge

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Move, bring to unit length, correct the centroid."""
        moved = self._moved(audio_embeddings)
        return functional.normalize(moved - self.moved_mean + self.statistics.text_mean, dim=1)

    def _moved(self, audio: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        centred = functional.normalize(audio, dim=1) - self.statistics.audio_mean
        return functional.normalize(self.statistics.text_mean + self.trace_scale * centred, dim=1)


def _trace(embeddings: Float[Tensor, "rows dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, ""]:
    """Trace of the covariance of unit embeddings: their mean squared distance from the mean."""
    return (functional.normalize(embeddings, dim=1) - mean).double().square().sum(dim=1).mean()
