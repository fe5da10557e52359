"""The simplest bridge: shift audio embeddings by the gap between the means (Liang et al. 2022, arXiv 2203.02053)."""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge, BridgeConfig
from models.bridge.statistics import EmbeddingStatistics


class MeanShiftConfig(BridgeConfig):
    """Nothing to set."""

    kind: Literal["mean-shift"] = "mean-shift"


class MeanShift(Bridge):
    """normalise(a - μ_a + μ_t)."""

    config: MeanShiftConfig

    def __init__(self, config: MeanShiftConfig, statistics: EmbeddingStatistics) -> None:
        """Hold the means."""
        super().__init__()
        self.config = config
        self.statistics = statistics

    @classmethod
    def empty(cls, config: MeanShiftConfig) -> "MeanShift":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    @classmethod
    def fit(cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> "MeanShift":
        """Measure both means."""
        return cls(MeanShiftConfig(dim=audio.shape[1]), EmbeddingStatistics.fit(audio, text))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Shift and bring back to unit length."""
        unit = functional.normalize(audio_embeddings, dim=1)
        return functional.normalize(unit - self.statistics.audio_mean + self.statistics.text_mean, dim=1)
