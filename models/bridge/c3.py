"""C3 (Zhang et al. 2024, arXiv 2401.08567): take each modality's mean away, and let the decoder learn under noise.

The bridge itself is a - μ_a. Its other half is the decoder's training, on normalise(t - μ_t + N(0, σ² I)): without it
the output means nothing, since it does not lie in CLAP's text space but in that of texts seen from their mean. So a
decoder must be trained on `noised_text_side` of this bridge, and texts that the output is compared with must go through
`text_side` too. The authors' σ² is 0.016 a coordinate, that of CapDec (Nukrai et al. 2022, arXiv 2211.00575); here it is
the `noise_variance` of the decoder's recipe.
"""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge, BridgeConfig
from models.bridge.statistics import EmbeddingStatistics, direction_from


class C3Config(BridgeConfig):
    """Nothing to set; σ² is a setting of the decoder's training."""

    kind: Literal["c3"] = "c3"


class C3(Bridge):
    """normalise(a - μ_a), in the space of normalise(t - μ_t)."""

    config: C3Config

    def __init__(self, config: C3Config, statistics: EmbeddingStatistics) -> None:
        """Hold the means."""
        super().__init__()
        self.config = config
        self.statistics = statistics

    @classmethod
    def empty(cls, config: C3Config) -> "C3":
        """Build a bridge whose statistics say nothing yet, for stored ones to be loaded into."""
        return cls(config, EmbeddingStatistics(config.dim))

    @classmethod
    def fit(cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> "C3":
        """Measure both means."""
        return cls(C3Config(dim=audio.shape[1]), EmbeddingStatistics.fit(audio, text))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Take the audio mean away."""
        return direction_from(audio_embeddings, self.statistics.audio_mean)

    @property
    def own_text_space(self) -> bool:
        """Its texts are without their mean."""
        return True

    def text_side(self, text_embeddings: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """normalise(t - μ_t)."""
        return direction_from(text_embeddings, self.statistics.text_mean)

    def noised_text_side(
        self, text_embeddings: Float[Tensor, "rows dim"], noise: Float[Tensor, "rows dim"], variance: float
    ) -> Float[Tensor, "rows dim"]:
        """normalise(t - μ_t + ε); the length that the mean leaves is kept until the noise is in, as in the authors' code."""
        centred = functional.normalize(text_embeddings, dim=1) - self.statistics.text_mean
        return functional.normalize(centred + variance**0.5 * noise, dim=1)
