"""Projection onto a memory of texts, after DeCap and WSAC: no training, only the training captions' embeddings.

DeCap: Li et al. 2023, arXiv 2303.03032. WSAC, the same for audio: Kouzelis & Katsouros 2023, arXiv 2309.12242. The
memory is part of the bridge and so of the artifact.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge, BridgeConfig


class TextMemoryConfig(BridgeConfig):
    """How many texts are remembered, and how sharply they are chosen from."""

    kind: Literal["text-memory"] = "text-memory"
    num_texts: PositiveInt
    """Distinct rows of the memory."""
    temperature: PositiveFloat = 0.01
    """τ."""


class TextMemory(Bridge):
    """normalise(softmax(a Mᵀ / τ) M), with M the unit embeddings of all training captions.

    A caption that was there n times is stored once, and log n added to its logit: the same as n rows of M.
    """

    config: TextMemoryConfig
    texts: Tensor
    log_counts: Tensor

    def __init__(self, config: TextMemoryConfig) -> None:
        """Hold an empty memory."""
        super().__init__()
        self.config = config
        self.register_buffer("texts", torch.zeros(config.num_texts, config.dim))
        self.register_buffer("log_counts", torch.zeros(config.num_texts))

    @classmethod
    def empty(cls, config: TextMemoryConfig) -> "TextMemory":
        """Build it with an empty memory, for a stored one to be loaded into."""
        return cls(config)

    @classmethod
    def fit(
        cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], temperature: float = 0.01
    ) -> "TextMemory":
        """Remember the texts; the audio is not looked at."""
        distinct, counts = torch.unique(text, dim=0, return_counts=True)
        bridge = cls(TextMemoryConfig(dim=text.shape[1], num_texts=len(distinct), temperature=temperature))
        bridge.texts.copy_(functional.normalize(distinct, dim=1))
        bridge.log_counts.copy_(counts.log())
        return bridge

    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Mix the remembered texts, the nearest to each audio embedding most."""
        unit = functional.normalize(audio_embeddings, dim=1)
        logits = unit @ self.texts.T / self.config.temperature + self.log_counts
        return functional.normalize(logits.softmax(dim=1) @ self.texts, dim=1)
