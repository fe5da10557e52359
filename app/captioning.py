"""What is done to clips, in numpy: decoding, and the functions that the two stages run on batches.

Service and command line both come through here (by way of `app.engine`), so they cannot differ.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from models.audio import AudioLimits, cut_windows, decode_audio, window_spans_s
from models.pipeline import Pipeline, ScoredCaption, pool_windows

_TEXTS_A_WINDOW = 16
"""Texts that are as much work as one window, roughly: a short text through a small transformer."""


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file to caption: its name, for people, and how to get its bytes, in a thread."""

    name: str | None
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a clip is, and from when to when each of its windows goes."""

    duration_s: float
    spans_s: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Clip:
    """A decoded file."""

    windows: Float32[np.ndarray, "windows samples"]
    extent: Extent


@dataclass(frozen=True, slots=True)
class ClipJob:
    """An item of the embed stage: the windows of one clip."""

    windows: Float32[np.ndarray, "windows samples"]
    seed: int


@dataclass(frozen=True, slots=True)
class TextsJob:
    """An item of the embed stage: the texts of one request."""

    texts: list[str]


EmbedJob = ClipJob | TextsJob


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the embed stage makes of an item: the clip in row 0 and its windows in the others, or one row a text.

    Texts are in text space already, so that both arrays are the same.
    """

    raw: Float32[np.ndarray, "rows dim"]
    bridged: Float32[np.ndarray, "rows dim"]


@dataclass(frozen=True, slots=True)
class WriteJob:
    """An item of the write stage: one embedding of text space to write captions for."""

    embedding: Float32[np.ndarray, " dim"]
    seed: int
    candidates: int
    max_new_tokens: int

    @property
    def cost(self) -> int:
        """Tokens that it may take."""
        return self.candidates * self.max_new_tokens

    @property
    def key(self) -> tuple[int, int]:
        """What items of one batch have in common."""
        return self.candidates, self.max_new_tokens


@dataclass(frozen=True, slots=True)
class CaptionedClip:
    """Captions of a clip, and of each of its windows where a timeline was asked for; best score first."""

    extent: Extent
    candidates: list[ScoredCaption]
    timeline: list[list[ScoredCaption]] | None


@dataclass(frozen=True, slots=True)
class EmbeddedClip:
    """Embeddings of a clip and of its windows."""

    extent: Extent
    embedded: Embedded


def decode_clip(file: AudioFile, limits: AudioLimits) -> Clip:
    """Read and decode one file, and cut it into windows.

    Raises:
        AudioError: the file cannot be used.
    """
    waveform = decode_audio(file.read(), limits)
    windows = cut_windows(waveform)
    return Clip(windows, Extent(waveform.duration_s, window_spans_s(waveform, len(windows))))


def embed_cost(job: EmbedJob) -> int:
    """Work of an item, in windows."""
    return len(job.windows) if isinstance(job, ClipJob) else math.ceil(len(job.texts) / _TEXTS_A_WINDOW)


def embed_jobs(pipeline: Pipeline, jobs: Sequence[EmbedJob]) -> list[Embedded]:
    """Embed clips or texts; those of one kind go through the device together."""
    clips = [job for job in jobs if isinstance(job, ClipJob)]
    if not clips:
        return _embed_texts(pipeline, [job for job in jobs if isinstance(job, TextsJob)])
    embeddings = pipeline.embed_audio(np.concatenate([clip.windows for clip in clips]))
    parts = _split(embeddings, [len(clip.windows) for clip in clips])
    raw = [np.concatenate([pool_windows(part)[None], part]) for part in parts]
    counts = [len(rows) for rows in raw]
    seeds = [clip.seed for clip, count in zip(clips, counts, strict=True) for _ in range(count)]
    bridged = _split(pipeline.bridge(np.concatenate(raw), seeds), counts)
    return [Embedded(*pair) for pair in zip(raw, bridged, strict=True)]


def write_jobs(pipeline: Pipeline, jobs: Sequence[WriteJob]) -> list[list[ScoredCaption]]:
    """Write captions for embeddings of one `key`."""
    candidates, max_new_tokens = jobs[0].key
    embeddings = np.stack([job.embedding for job in jobs])
    seeds = [job.seed for job in jobs]
    return pipeline.write(embeddings, seeds=seeds, candidates=candidates, max_new_tokens=max_new_tokens)


def _embed_texts(pipeline: Pipeline, jobs: Sequence[TextsJob]) -> list[Embedded]:
    embeddings = pipeline.embed_texts([text for job in jobs for text in job.texts])
    return [Embedded(rows, rows) for rows in _split(embeddings, [len(job.texts) for job in jobs])]


def _split(rows: Float32[np.ndarray, "rows dim"], counts: Sequence[int]) -> list[Float32[np.ndarray, "_ dim"]]:
    return np.split(rows, np.cumsum(counts)[:-1])
