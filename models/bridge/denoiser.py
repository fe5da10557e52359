"""The network f(z_k, k): from a noised vector and its step to the clean text vector.

Three residual MLP blocks, as the abstract of Diffusion-Link says; widths, norm and timestep modulation are our
reconstruction, after the residual MLP of Li et al. 2024 (arXiv 2406.11838) and adaLN of Peebles & Xie 2023 (arXiv
2212.09748). It knows no schedule, loss or sampler.
"""

import math

import torch
from jaxtyping import Float, Int
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from models.bridge.interface import FrozenConfig

_MAX_PERIOD = 10_000.0
"""Longest period of the sinusoids, in steps (Vaswani et al. 2017, arXiv 1706.03762, section 3.5)."""


class DenoiserConfig(FrozenConfig):
    """Size of the network."""

    hidden_dim: PositiveInt = 1024
    """Width inside a block."""
    num_blocks: PositiveInt = 3
    timestep_dim: int = Field(default=128, ge=4, multiple_of=2)
    """Width of the timestep embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of hidden units dropped while training."""


class TimestepEmbedding(nn.Module):
    """Sinusoids of k, then a small MLP."""

    frequencies: Tensor

    def __init__(self, timestep_dim: int) -> None:
        """Prepare `timestep_dim` / 2 frequencies, from 1 down to 1 / 10,000 radian a step."""
        super().__init__()
        half = timestep_dim // 2
        exponents = torch.arange(half, dtype=torch.float32) / (half - 1)
        self.register_buffer("frequencies", torch.exp(-math.log(_MAX_PERIOD) * exponents), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(timestep_dim, timestep_dim), nn.SiLU(), nn.Linear(timestep_dim, timestep_dim))

    def forward(self, k: Int[Tensor, " batch"]) -> Float[Tensor, "batch timestep_dim"]:
        """Embed each step."""
        angles = k.unsqueeze(1).to(self.frequencies.dtype) * self.frequencies
        embedded: Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], dim=1))
        return embedded


class ResidualBlock(nn.Module):
    """x + MLP(norm(x) modulated by the timestep); the identity until trained."""

    def __init__(self, dim: int, config: DenoiserConfig) -> None:
        """Build the block so that it begins as the identity."""
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.timestep_dim, 2 * dim))
        self.hidden = nn.Sequential(nn.Linear(dim, config.hidden_dim), nn.SiLU(), nn.Dropout(config.dropout))
        self.out = nn.Linear(config.hidden_dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, x: Float[Tensor, "batch dim"], timestep: Float[Tensor, "batch timestep_dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Add what the MLP makes of the modulated vector."""
        shift, scale = self.modulation(timestep).chunk(2, dim=1)
        added: Tensor = self.out(self.hidden(self.norm(x) * (1 + scale) + shift))
        return x + added


class Denoiser(nn.Module):
    """The residual blocks in a row, at the width of the embedding; as a whole the identity until trained."""

    def __init__(self, dim: int, config: DenoiserConfig) -> None:
        """Build the blocks for embeddings of width `dim`."""
        super().__init__()
        self.timestep = TimestepEmbedding(config.timestep_dim)
        self.blocks = nn.ModuleList(ResidualBlock(dim, config) for _ in range(config.num_blocks))

    def forward(self, z_k: Float[Tensor, "batch dim"], k: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """Predict the clean text vector, at the scale of `z_k`."""
        timestep = self.timestep(k)
        x = z_k
        for block in self.blocks:
            x = block(x, timestep)
        return x
