"""What the bridges with a network share: the vectors it works on, and a training loss.

Each modality is seen from its own mean where so configured, at norm s. What the network returns is placed in the same
direction seen from the text mean. So its output lies in CLAP's own text space: it can be searched with CLAP text
embeddings and read by a decoder trained on them.
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.denoiser import Denoiser, DenoiserConfig
from models.bridge.interface import Bridge, BridgeConfig
from models.bridge.statistics import EmbeddingStatistics, direction_from, embedding_towards


class LearnedBridgeConfig(BridgeConfig):
    """The network, and how embeddings are brought to it; weights and statistics come from the safetensors file."""

    centred: bool = True
    """Whether each modality is seen from its own mean."""
    denoiser: DenoiserConfig = DenoiserConfig()


class LearnedBridge(Bridge):
    """A bridge that learns step by step from pairs of embeddings."""

    config: LearnedBridgeConfig

    def __init__(self, config: LearnedBridgeConfig, statistics: EmbeddingStatistics) -> None:
        """Build the untrained network; `statistics` become part of the bridge."""
        super().__init__()
        self.config = config
        self.statistics = statistics
        self.denoiser = Denoiser(config.dim, config.denoiser)

    @abstractmethod
    def losses(
        self,
        audio_embeddings: Float[Tensor, "batch dim"],
        text_embeddings: Float[Tensor, "batch dim"],
        generator: torch.Generator,
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Training losses of a batch of pairs, random things drawn from `generator`; `loss` is to be differentiated."""

    def audio_vectors(self, audio_embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Bring audio embeddings into the network's space: centred where so configured, norm s."""
        return self.statistics.scale * seen_directions(audio_embeddings, self.statistics.audio_mean, self.config.centred)

    def text_vectors(self, text_embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Bring text embeddings into the network's space: centred where so configured, norm s."""
        return self.statistics.scale * seen_directions(text_embeddings, self.statistics.text_mean, self.config.centred)

    def text_embeddings(self, text_vectors: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Bring vectors of the network's space back to unit text embeddings: the inverse of `text_vectors`."""
        directions = functional.normalize(text_vectors, dim=1)
        return embedding_towards(directions, self.statistics.text_mean) if self.config.centred else directions


def seen_directions(
    embeddings: Float[Tensor, "batch dim"], mean: Float[Tensor, " dim"], centred: bool
) -> Float[Tensor, "batch dim"]:
    """Unit directions, seen from `mean` where `centred`, else from the origin."""
    return direction_from(embeddings, mean if centred else torch.zeros_like(mean))
