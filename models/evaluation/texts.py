"""Texts embedded for both sides of an evaluation: as the bridge's output is compared with them, and as raw audio is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32

from models.bridge.store import load_bridge
from models.clap.store import load_clap
from models.device import resolve_device
from models.pipeline import Pipeline

EmbedTexts = Callable[[Sequence[str]], Float32[np.ndarray, "texts dim"]]
_TEXTS_A_PASS = 256


class TextSides(NamedTuple):
    """Embeddings of the same texts, row by row."""

    bridged: Float[np.ndarray, "texts dim"]
    raw: Float[np.ndarray, "texts dim"]


@dataclass(frozen=True, slots=True)
class TextEmbedder:
    """What embeds texts for bridged audio, and for raw audio where that is something else.

    A bridge such as C3 has texts in a space of its own. Raw audio compared with those would look worse than it is.
    """

    bridged: EmbedTexts
    plain: EmbedTexts | None = None
    """CLAP's own embeddings, where the bridge's texts are others."""

    @classmethod
    def load(cls, pipeline: Pipeline, artifact: Path, device: str) -> "TextEmbedder":
        """Read what is needed of an artifact beside its pipeline: a second encoder, seldom.

        Raises:
            ArtifactError: a file is missing or damaged.
            DeviceError: there is no such device.
        """
        if not load_bridge(artifact / "bridge").own_text_space:
            return cls(pipeline.embed_texts)
        encoder = load_clap(artifact / "clap", resolve_device(device))

        @torch.inference_mode()
        def embed(texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
            starts = range(0, len(texts), _TEXTS_A_PASS)
            passes = [encoder.embed_texts(texts[start : start + _TEXTS_A_PASS]) for start in starts]
            return torch.cat(passes).cpu().numpy()

        return cls(pipeline.embed_texts, embed)

    def sides(self, make: Callable[[EmbedTexts], Float[np.ndarray, "texts dim"]]) -> TextSides:
        """What `make` makes of the embeddings of each side."""
        bridged = make(self.bridged)
        return TextSides(bridged, bridged if self.plain is None else make(self.plain))

    def embed(self, texts: Sequence[str]) -> TextSides:
        """Embed texts, equal ones once, so that they get equal embeddings."""
        row = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        return self.sides(lambda embed: embed(list(row))[[row[text] for text in texts]])
