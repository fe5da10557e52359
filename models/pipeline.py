"""From windows of audio to captions: the one door through which service, command line and evaluation use the networks.

Windows → CLAP → bridge → decoder, in numpy on both sides; no tensor leaves. The device belongs to the thread that
calls: calls are not meant to overlap, except on a GPU, where each thread has a stream of its own.

In fp32 a row is within 1e-4 of what it is alone. In bf16, which keeps 8 bits of a number, products of other shapes round
otherwise: a row alone and in company, or in bf16 and fp32, agree to a cosine of 0.999, and captions may differ.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from models.artifact import ArtifactManifest, verify_artifact
from models.audio import WINDOW_SAMPLES
from models.budgets import USUAL_TOKENS, Budgets
from models.device import (
    available_bytes,
    describe_device,
    memory_bytes,
    memory_errors,
    resolve_device,
    use_exact_float32,
)
from models.device_work import DeviceWork
from models.inspection import Reference, TorchFacts, inspect_device, inspect_reference, inspect_torch
from models.networks import Networks, compile_audio_tower, load_networks
from models.plan import MemoryPlan, Part, measure_memory
from models.precision import resolve_precision

__all__ = [
    "USUAL_TOKENS",
    "Budgets",
    "MemoryPlan",
    "Part",
    "Pipeline",
    "Reference",
    "ScoredCaption",
    "TorchFacts",
    "inspect_device",
    "inspect_reference",
    "inspect_torch",
    "pool_windows",
]

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

    def __init__(self, manifest: ArtifactManifest, networks: Networks) -> None:
        """Put together what `load` reads from an artifact."""
        self.manifest = manifest
        self._networks = networks
        self._device = networks.device
        self._work = DeviceWork(networks.device)
        self._budgets = Budgets()

    @classmethod
    def load(
        cls,
        directory: Path,
        device: str = "auto",
        cpu_threads: int | None = None,
        precision: str = "auto",
        compile_encoder: bool = False,
    ) -> "Pipeline":
        """Verify an artifact and load it; `cpu_threads` holds for the whole process.

        On CUDA, batches get the size that memory has room for: every network is tried with a small batch.

        Raises:
            ArtifactError: a file is missing, damaged, or not what the others need.
            DeviceError: the device is not there or too small, or cannot do what was asked of it.
        """
        torch_device = resolve_device(device)
        dtype = resolve_precision(precision, torch_device)
        if cpu_threads is not None:
            torch.set_num_threads(cpu_threads)
        use_exact_float32()
        manifest = verify_artifact(directory)
        with memory_errors(torch_device):
            pipeline = cls(manifest, load_networks(directory, torch_device, dtype))
        if torch_device.type == "cuda":
            # Measuring waits for the device: the streams of other threads find the weights where they belong.
            pipeline._budgets = pipeline.plan().budgets(available_bytes(torch_device))
        if compile_encoder:
            compile_audio_tower(pipeline._networks.clap, pipeline._work, pipeline._budgets.windows)
        return pipeline

    @property
    def dim(self) -> int:
        """Width of every embedding."""
        return self._networks.clap.dim

    @property
    def device_name(self) -> str:
        """The device, for people."""
        return describe_device(self._device)

    @property
    def budgets(self) -> Budgets:
        """How much goes through a network at once, whatever a caller sends; more than that is not faster."""
        return self._budgets

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
        """State what encoder, bridge and decoder are, how large, and in what they compute."""
        return self._networks.describe()

    def plan(self) -> MemoryPlan:
        """Measure what the networks and their batches take; before anything is compiled.

        Raises:
            DeviceMemoryError: not even a batch of six windows or captions fits beside the weights.
        """
        with memory_errors(self._device):
            plan = measure_memory(self._networks)
        self._work.empty_cache()
        return plan

    def embed_audio(self, windows: Iterable[Float32[np.ndarray, " samples"]]) -> Float32[np.ndarray, "windows dim"]:
        """Embed windows of `WINDOW_SAMPLES` with CLAP, unbridged; unit length.

        Raises:
            ValueError: the windows have another length.
            DeviceMemoryError: they are too many.
        """
        rows = list(windows)
        if any(row.shape != (WINDOW_SAMPLES,) for row in rows):
            raise ValueError(f"windows of {', '.join(str(len(row)) for row in rows)} samples; they have {WINDOW_SAMPLES}")
        with self._work.begun():
            # Stacked a pass at a time: a copy of a large batch costs as much as a good deal of the work on it.
            parts = _passes(len(rows), self._budgets.windows)
            return self._joined([self._networks.clap.embed_audio(self._work.send_windows(rows[part])) for part in parts])

    def bridge(self, embeddings: Float32[np.ndarray, "batch dim"], seeds: Sequence[int]) -> Float32[np.ndarray, "batch dim"]:
        """Carry audio embeddings into text space; unit length. Row i draws its noise, if any, from seeds[i] alone.

        Raises:
            ValueError: there is not one seed for each embedding, or the width is another.
            DeviceMemoryError: they are too many.
        """
        self._check(embeddings, seeds)
        if not len(embeddings):
            return self._joined([])
        with self._work.begun():
            parts = _passes(len(embeddings), self._budgets.embeddings)
            return self._joined([self._networks.bridge(self._work.send(embeddings[part]), seeds[part]) for part in parts])

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Embed texts in the space of bridged audio; unit length. What does not fit into CLAP's text tower is cut off.

        Raises:
            DeviceMemoryError: they are too many.
        """
        with self._work.begun():
            return self._joined(self._text_passes(texts))

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
        decoder = self._networks.decoder
        with self._work.begun():
            for part in _passes(len(embeddings), self._budgets.captions_at_once(candidates, max_new_tokens)):
                rows = self._work.send(embeddings[part])
                texts = decoder.generate(rows, seeds=seeds[part], candidates=candidates, max_new_tokens=max_new_tokens)
                written.extend(self._ranked(rows, texts))
        return written

    def warm_up(self) -> None:
        """Send one window and one text through everything, so that the first request finds all of it ready."""
        silence = np.zeros((1, WINDOW_SAMPLES), dtype=np.float32)
        bridged = self.bridge(self.embed_audio(silence), [0])
        self.write(bridged, seeds=[0], candidates=2, max_new_tokens=8)

    def _ranked(self, embeddings: Float[Tensor, "batch dim"], captions: list[list[str]]) -> Iterator[list[ScoredCaption]]:
        """Score all captions of a batch at once, and order those of each row."""
        everything = [text for row in captions for text in row]
        texts = torch.cat(self._text_passes(everything))
        counts = torch.tensor([len(row) for row in captions], device=embeddings.device)
        cosines = functional.cosine_similarity(embeddings.repeat_interleave(counts, dim=0), texts, dim=1)
        scores, tokens = iter(cosines.clamp(-1, 1).tolist()), iter(self._networks.decoder.count_tokens(everything))
        for row in captions:
            scored = [ScoredCaption(caption, next(scores), next(tokens)) for caption in row]
            yield sorted(scored, key=lambda candidate: candidate.score, reverse=True)

    def _text_passes(self, texts: Sequence[str]) -> list[Float[Tensor, "_ dim"]]:
        """On the bridge's side: a bridge such as C3 has texts, too, in a space of its own."""
        clap, bridge = self._networks.clap, self._networks.bridge
        parts = _passes(len(texts), self._budgets.texts)
        return [bridge.text_side(clap.embed_texts(texts[part])) for part in parts]

    def _check(self, embeddings: Float32[np.ndarray, "batch dim"], seeds: Sequence[int]) -> None:
        if embeddings.shape != (len(seeds), self.dim):
            raise ValueError(f"{len(seeds)} seeds, width {self.dim}, but embeddings {embeddings.shape}")

    def _joined(self, parts: Sequence[Float[Tensor, "_ dim"]]) -> Float32[np.ndarray, "batch dim"]:
        if not parts:
            return np.empty((0, self.dim), dtype=np.float32)
        return torch.cat(list(parts)).float().cpu().numpy()


def _passes(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
