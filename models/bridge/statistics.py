"""Where the two modalities lie: means and scale, measured once on training pairs and kept inside the bridge's weights.

They are buffers, so that the safetensors file holds them and no number is ever typed a second time at inference.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class EmbeddingStatistics(nn.Module):
    """Mean unit vector of each modality, and the norm s that diffusion vectors are scaled to."""

    audio_mean: Tensor
    text_mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        """Begin with no gap, and s = sqrt(dim)."""
        super().__init__()
        self.register_buffer("audio_mean", torch.zeros(dim))
        self.register_buffer("text_mean", torch.zeros(dim))
        self.register_buffer("scale", torch.tensor(math.sqrt(dim)))

    @classmethod
    def fit(
        cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], scale: float | None = None
    ) -> "EmbeddingStatistics":
        """Measure the means of the unit vectors of both modalities; s = sqrt(dim) unless given."""
        statistics = cls(audio.shape[1])
        if scale is not None:
            statistics.scale.fill_(scale)
        statistics.audio_mean.copy_(mean_unit_vector(audio))
        statistics.text_mean.copy_(mean_unit_vector(text))
        return statistics


def mean_unit_vector(embeddings: Float[Tensor, "rows dim"]) -> Float[Tensor, " dim"]:
    """Mean of the embeddings, each first brought to unit length; its own length is below 1 unless all agree."""
    return functional.normalize(embeddings.double(), dim=1).mean(dim=0).float()


def direction_from(embeddings: Float[Tensor, "batch dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "batch dim"]:
    """Unit direction in which each unit embedding lies, seen from `mean`: normalise(e - μ)."""
    return functional.normalize(functional.normalize(embeddings, dim=1) - mean, dim=1)


def embedding_towards(directions: Float[Tensor, "batch dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "batch dim"]:
    """The unit embedding that lies in each unit direction, seen from `mean`: the exact inverse of `direction_from`.

    The mean of unit vectors lies inside the unit sphere, so the ray μ + r u leaves the sphere at one point, where
    r² + 2 r (u·μ) + |μ|² - 1 = 0, r > 0. No residual length has to be remembered or guessed.
    """
    along = (directions @ mean).unsqueeze(1)
    # The clamp matters only if all training embeddings agree, and |μ|² exceeds 1 by rounding.
    r = (along.square() + (1 - mean.square().sum()).clamp(min=0)).sqrt() - along
    return functional.normalize(mean + r * directions, dim=1)


def mean_paired_cosine(audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> float:
    """Mean cosine between row i of both."""
    return functional.cosine_similarity(audio, text, dim=1).mean().item()
