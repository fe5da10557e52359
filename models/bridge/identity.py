"""The bridge that is none: the audio embedding itself, as the baseline of every comparison."""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge, BridgeConfig


class IdentityConfig(BridgeConfig):
    """Nothing to set."""

    kind: Literal["identity"] = "identity"


class Identity(Bridge):
    """normalise(a)."""

    config: IdentityConfig

    def __init__(self, config: IdentityConfig) -> None:
        """Hold the width."""
        super().__init__()
        self.config = config

    @classmethod
    def empty(cls, config: IdentityConfig) -> "Identity":
        """Build it; there is nothing to load."""
        return cls(config)

    @classmethod
    def fit(cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> "Identity":
        """Take the width of the pairs and nothing else."""
        return cls(IdentityConfig(dim=audio.shape[1]))

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Return the audio embeddings at unit length."""
        return functional.normalize(audio_embeddings, dim=1)
