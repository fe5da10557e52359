"""The linear control: the affine map that ridge regression finds between paired embeddings, in closed form."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge, BridgeConfig


class RidgeConfig(BridgeConfig):
    """How strongly the map is held back."""

    kind: Literal["ridge"] = "ridge"
    penalty: NonNegativeFloat = 0.1
    """Penalty on W, as a multiple of the audio embeddings' mean variance a coordinate."""


class Ridge(Bridge):
    """normalise(W a + b)."""

    config: RidgeConfig
    weight: Tensor
    bias: Tensor

    def __init__(self, config: RidgeConfig) -> None:
        """Begin with W = I and b = 0."""
        super().__init__()
        self.config = config
        self.register_buffer("weight", torch.eye(config.dim))
        self.register_buffer("bias", torch.zeros(config.dim))

    @classmethod
    def empty(cls, config: RidgeConfig) -> "Ridge":
        """Build the untrained map, for a stored one to be loaded into."""
        return cls(config)

    @classmethod
    def fit(cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], penalty: float = 0.1) -> "Ridge":
        """Solve min mean |W a + b - t|² + penalty · v |W|², with v the audio's mean variance a coordinate."""
        bridge = cls(RidgeConfig(dim=audio.shape[1], penalty=penalty))
        a, t = (functional.normalize(side.double(), dim=1) for side in (audio, text))
        mean_a, mean_t = a.mean(dim=0), t.mean(dim=0)
        covariance = (a - mean_a).T @ (a - mean_a) / len(a)
        cross = (a - mean_a).T @ (t - mean_t) / len(a)
        held = covariance + penalty * covariance.diagonal().mean() * torch.eye(len(covariance)).to(covariance)
        weight = torch.linalg.solve(held, cross).T
        bridge.weight.copy_(weight)
        bridge.bias.copy_(mean_t - weight @ mean_a)
        return bridge

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Map and bring to unit length."""
        unit = functional.normalize(audio_embeddings, dim=1)
        return functional.normalize(unit @ self.weight.T + self.bias, dim=1)
