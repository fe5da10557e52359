"""From an embedding to the prefix that a language model reads.

The embedding is standardised by statistics that live in the projector's own weights, then mapped to a few vectors of
the language model's width, as in ClipCap (Mokady et al. 2021, arXiv 2111.09734).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class PrefixProjector(nn.Module):
    """Standardise, then Linear-GELU-Linear to `prefix_length` vectors."""

    embedding_mean: Tensor
    embedding_scale: Tensor

    def __init__(self, dim: int, hidden_dim: int, prefix_length: int, model_dim: int) -> None:
        """Build a projector from embeddings of width `dim` to vectors of width `model_dim`."""
        super().__init__()
        self.prefix_length = prefix_length
        # One scale for all coordinates: a scale for each would blow up those that carry nothing but noise.
        self.register_buffer("embedding_mean", torch.zeros(dim))
        self.register_buffer("embedding_scale", torch.tensor(dim**-0.5))
        self.mlp = nn.Sequential(nn.Linear(dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, prefix_length * model_dim))

    def fit_statistics(self, embeddings: Float[Tensor, "rows dim"]) -> None:
        """Measure the mean of unit embeddings, and their root mean square distance from it a coordinate."""
        unit = functional.normalize(embeddings.double(), dim=1)
        mean = unit.mean(dim=0)
        self.embedding_mean.copy_(mean)
        # The bound is far below any real spread, and keeps embeddings that all agree from dividing by zero.
        self.embedding_scale.copy_((unit - mean).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch prefix model_dim"]:
        """Project each embedding to its prefix."""
        standardised = (embeddings - self.embedding_mean) / self.embedding_scale
        prefix: Tensor = self.mlp(standardised)
        return prefix.reshape(len(prefix), self.prefix_length, -1)
