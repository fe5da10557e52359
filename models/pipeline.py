"""From windows of audio to captions: the one door through which service, command line and evaluation use the networks.

Windows → CLAP → bridge → decoder, in numpy on both sides; no tensor leaves. The device belongs to the thread that
calls: calls are not meant to overlap.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from models.artifact import ArtifactManifest, verify_artifact
from models.audio import WINDOW_SAMPLES
from models.bridge.interface import Bridge
from models.bridge.store import load_bridge
from models.clap.encoder import ClapEncoder
from models.clap.store import load_clap
from models.decoder.captioner import CaptionDecoder
from models.decoder.store import load_decoder
from models.device import describe_device, memory_bytes, memory_errors, resolve_device, use_exact_float32
from models.errors import ArtifactError

_WINDOWS_A_PASS = {"cpu": 8, "mps": 8, "cuda": 64}
"""Windows that the encoder sees at once: bounds memory, whatever a caller sends."""
_ROWS_A_PASS = 64
"""Embeddings that captions are written for at once."""
_TEXTS_A_PASS = 256
_TINY = 1e-12
"""Keeps a division by a length of zero from making NaN."""


@dataclass(frozen=True, slots=True)
class ScoredCaption:
    """A caption, and the cosine of the embedding it was written for with CLAP's text embedding of it."""

    caption: str
    score: float
    tokens: int
    """Tokens of the caption, as the language model counts them."""


def pool_windows(embeddings: Float32[np.ndarray, "windows dim"]) -> Float32[np.ndarray, " dim"]:
    """Embed a clip by its windows: their mean at unit length.

    Raises:
        ValueError: there is no window.
    """
    if not len(embeddings):
        raise ValueError("a clip has at least one window")
    mean = embeddings.mean(axis=0, dtype=np.float64)
    pooled: Float32[np.ndarray, " dim"] = (mean / max(float(np.linalg.norm(mean)), _TINY)).astype(np.float32)
    return pooled


class Pipeline:
    """The networks of one artifact on one device."""

    def __init__(
        self, manifest: ArtifactManifest, clap: ClapEncoder, bridge: Bridge, decoder: CaptionDecoder, device: torch.device
    ) -> None:
        """Put together networks that are on `device` already, in evaluation mode; `load` does so from an artifact."""
        self.manifest = manifest
        self._clap, self._bridge, self._decoder = clap, bridge, decoder
        self._device = device

    @classmethod
    def load(cls, directory: Path, device: str = "auto", cpu_threads: int | None = None) -> "Pipeline":
        """Verify an artifact and load it; `cpu_threads` holds for the whole process.

        Raises:
            ArtifactError: a file is missing, damaged, or not what the others need.
            DeviceError: the device is not there.
        """
        torch_device = resolve_device(device)
        if cpu_threads is not None:
            torch.set_num_threads(cpu_threads)
        use_exact_float32()
        manifest = verify_artifact(directory)
        clap = load_clap(directory / "clap", torch_device)
        bridge = load_bridge(directory / "bridge", torch_device)
        decoder = load_decoder(directory / "decoder", torch_device)
        for name, dim in (("bridge", bridge.dim), ("decoder", decoder.dim)):
            if dim != clap.dim:
                raise ArtifactError(
                    directory / name / "config.json", f"takes embeddings of width {dim}, clap/ gives {clap.dim}"
                )
        return cls(manifest, clap, bridge, decoder, torch_device)

    @property
    def dim(self) -> int:
        """Width of every embedding."""
        return self._clap.dim

    @property
    def device_name(self) -> str:
        """The device, for people."""
        return describe_device(self._device)

    @property
    def max_windows(self) -> int:
        """Windows that suit one call of `embed_audio`: more do not make the device faster."""
        return _WINDOWS_A_PASS[self._device.type]

    @property
    def concurrent(self) -> bool:
        """Whether two threads that use the device at once are faster than one after the other.

        A CPU computes on all its cores already: two stages at once took 0.93 to 1.07 times as long as one after the other
        (two cores). On a GPU, kernels of encoding fill what the many small ones of generation leave free.
        """
        return self._device.type == "cuda"

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of the device's memory by kind; empty where torch does not count them."""
        return memory_bytes(self._device)

    def describe(self) -> dict[str, dict[str, Any]]:
        """State what encoder, bridge and decoder are, and how large."""
        clap, language_model = self._clap.model, self._decoder.language_model
        return {
            "encoder": {
                "class": type(clap).__name__,
                "audio_tower": type(clap.audio_model).__name__,
                "text_tower": type(clap.text_model).__name__,
                "dim": self.dim,
                "parameters": _count(clap),
            },
            "bridge": {
                "class": type(self._bridge).__name__,
                "kind": self._bridge.config.kind,
                "dim": self._bridge.dim,
                "parameters": _count(self._bridge),
            },
            "decoder": {
                "class": type(self._decoder).__name__,
                "language_model": type(language_model).__name__,
                "dim": self._decoder.dim,
                "parameters": _count(self._decoder),
                "max_caption_tokens": self._decoder.max_caption_tokens,
            },
        }

    @torch.inference_mode()
    def embed_audio(self, windows: Iterable[Float32[np.ndarray, " samples"]]) -> Float32[np.ndarray, "windows dim"]:
        """Embed windows of `WINDOW_SAMPLES` with CLAP, unbridged; unit length.

        Raises:
            ValueError: the windows have another length.
            DeviceMemoryError: they are too many.
        """
        rows = list(windows)
        if any(row.shape != (WINDOW_SAMPLES,) for row in rows):
            raise ValueError(f"windows of {', '.join(str(len(row)) for row in rows)} samples; they have {WINDOW_SAMPLES}")
        with memory_errors(self._device):
            # Stacked a pass at a time: a copy of a large batch costs as much as a good deal of the work on it.
            passes = (torch.from_numpy(np.stack(rows[part])) for part in _passes(len(rows), self.max_windows))
            return self._joined([self._clap.embed_audio(stacked.to(self._device)) for stacked in passes])

    @torch.inference_mode()
    def bridge(self, embeddings: Float32[np.ndarray, "batch dim"], seeds: Sequence[int]) -> Float32[np.ndarray, "batch dim"]:
        """Carry audio embeddings into text space; unit length. Row i draws its noise, if any, from seeds[i] alone.

        Raises:
            ValueError: there is not one seed for each embedding, or the width is another.
            DeviceMemoryError: they are too many.
        """
        self._check(embeddings, seeds)
        if not len(embeddings):
            return self._joined([])
        with memory_errors(self._device):
            return self._joined([self._bridge(self._tensor(embeddings), seeds)])

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Embed texts in the space of bridged audio; unit length. What does not fit into CLAP's text tower is cut off.

        Raises:
            DeviceMemoryError: they are too many.
        """
        with memory_errors(self._device):
            return self._joined(self._text_passes(texts))

    @torch.inference_mode()
    def write(
        self, embeddings: Float32[np.ndarray, "batch dim"], *, seeds: Sequence[int], candidates: int, max_new_tokens: int
    ) -> list[list[ScoredCaption]]:
        """Write up to `candidates` captions for each embedding of text space, the best score first.

        Raises:
            ValueError: there is not one seed for each embedding, the width is another, or a number is below 1.
            DeviceMemoryError: they are too many.
        """
        self._check(embeddings, seeds)
        written: list[list[ScoredCaption]] = []
        with memory_errors(self._device):
            for part in _passes(len(embeddings), _ROWS_A_PASS):
                rows = self._tensor(embeddings[part])
                texts = self._decoder.generate(rows, seeds=seeds[part], candidates=candidates, max_new_tokens=max_new_tokens)
                written.extend(self._ranked(rows, texts))
        return written

    def warm_up(self) -> None:
        """Send one window and one text through everything, so that the first request finds all of it ready."""
        windows = np.random.default_rng(0).uniform(-0.1, 0.1, (1, WINDOW_SAMPLES)).astype(np.float32)
        bridged = self.bridge(self.embed_audio(windows), [0])
        self.write(bridged, seeds=[0], candidates=2, max_new_tokens=8)

    def _ranked(self, embeddings: Float[Tensor, "batch dim"], captions: list[list[str]]) -> Iterator[list[ScoredCaption]]:
        """Score all captions of a batch at once, and order those of each row."""
        everything = [text for row in captions for text in row]
        texts = torch.cat(self._text_passes(everything))
        counts = torch.tensor([len(row) for row in captions], device=embeddings.device)
        cosines = functional.cosine_similarity(embeddings.repeat_interleave(counts, dim=0), texts, dim=1)
        scores, tokens = iter(cosines.clamp(-1, 1).tolist()), iter(self._decoder.count_tokens(everything))
        for row in captions:
            scored = [ScoredCaption(caption, next(scores), next(tokens)) for caption in row]
            yield sorted(scored, key=lambda candidate: candidate.score, reverse=True)

    def _text_passes(self, texts: Sequence[str]) -> list[Float[Tensor, "_ dim"]]:
        """On the bridge's side: a bridge such as C3 has texts, too, in a space of its own."""
        parts = _passes(len(texts), _TEXTS_A_PASS)
        return [self._bridge.text_side(self._clap.embed_texts(texts[part])) for part in parts]

    def _check(self, embeddings: Float32[np.ndarray, "batch dim"], seeds: Sequence[int]) -> None:
        if embeddings.shape != (len(seeds), self.dim):
            raise ValueError(f"{len(seeds)} seeds, width {self.dim}, but embeddings {embeddings.shape}")

    def _tensor(self, array: Float32[np.ndarray, "rows columns"]) -> Float[Tensor, "rows columns"]:
        # A copy: torch warns of memory that it must not write to, and a caller may go on using its own.
        return torch.tensor(array, device=self._device)

    def _joined(self, parts: Sequence[Float[Tensor, "_ dim"]]) -> Float32[np.ndarray, "batch dim"]:
        if not parts:
            return np.empty((0, self.dim), dtype=np.float32)
        return torch.cat(list(parts)).float().cpu().numpy()


def _passes(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
