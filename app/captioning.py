"""What is done to clips, in numpy: the functions that the two stages run on batches, and what goes in and out of them.

The embed stage takes single windows, so that a batch has the size that the device likes and a long clip shares it with short
ones. With the last one of a clip, which comes after all others since a flow keeps its order, the clip is pooled and bridged.

Service and command line both come through here (by way of `app.engine`), so they cannot differ.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from models.audio import window_spans_s
from models.pipeline import Pipeline, ScoredCaption, pool_windows

TEXTS_A_JOB = 16
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

    @classmethod
    def of(cls, duration_s: float, windows: int) -> "Extent":
        """Measure a clip of so many seconds and windows."""
        return cls(duration_s, window_spans_s(duration_s, windows))


@dataclass(eq=False, slots=True)
class ClipInWork:
    """A clip on its way through the embed stage."""

    seed: int
    rows: dict[int, Float32[np.ndarray, " dim"]] = field(default_factory=dict)
    """Embeddings of the windows that are done; touched by the stage's runner alone."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowJob:
    """An item of the embed stage: one window of a clip."""

    window: Float32[np.ndarray, " samples"]
    clip: ClipInWork
    index: int
    last: bool


@dataclass(frozen=True, slots=True)
class TextsJob:
    """An item of the embed stage: up to `TEXTS_A_JOB` texts."""

    texts: Sequence[str]


EmbedJob = WindowJob | TextsJob


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the embed stage makes: a clip in row 0 and its windows in the others, or one row a text.

    Texts are in text space already, so that both arrays are the same.
    """

    raw: Float32[np.ndarray, "rows dim"]
    bridged: Float32[np.ndarray, "rows dim"]
    bridge_s: float = 0.0
    """Seconds that the bridge took, for all clips of the batch."""


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


def embed_jobs(pipeline: Pipeline, jobs: Sequence[EmbedJob]) -> list[Embedded | None]:
    """Embed windows or texts; those of one kind go through the device together.

    Gives the clip with its last window and None with the others, and None too if another window failed.
    """
    windows = [job for job in jobs if isinstance(job, WindowJob)]
    if not windows:
        return [*_embed_texts(pipeline, [job for job in jobs if isinstance(job, TextsJob)])]
    embeddings = pipeline.embed_audio([job.window for job in windows])
    for job, row in zip(windows, embeddings, strict=True):
        job.clip.rows[job.index] = row
    complete = [job.last and len(job.clip.rows) == job.index + 1 for job in windows]
    clips = [job.clip for job, is_complete in zip(windows, complete, strict=True) if is_complete]
    bridged = iter(_bridge_clips(pipeline, clips))
    return [next(bridged) if is_complete else None for is_complete in complete]


def write_jobs(pipeline: Pipeline, jobs: Sequence[WriteJob]) -> list[list[ScoredCaption]]:
    """Write captions for embeddings of one `key`."""
    candidates, max_new_tokens = jobs[0].key
    embeddings = np.stack([job.embedding for job in jobs])
    seeds = [job.seed for job in jobs]
    return pipeline.write(embeddings, seeds=seeds, candidates=candidates, max_new_tokens=max_new_tokens)


def _bridge_clips(pipeline: Pipeline, clips: Sequence[ClipInWork]) -> list[Embedded]:
    if not clips:
        return []
    started_s = time.perf_counter()
    parts = [np.stack([row for _, row in sorted(clip.rows.items())]) for clip in clips]
    raw = [np.concatenate([pool_windows(part)[None], part]) for part in parts]
    counts = [len(rows) for rows in raw]
    seeds = [clip.seed for clip, count in zip(clips, counts, strict=True) for _ in range(count)]
    bridged = _split(pipeline.bridge(np.concatenate(raw), seeds), counts)
    bridge_s = time.perf_counter() - started_s
    return [Embedded(*pair, bridge_s) for pair in zip(raw, bridged, strict=True)]


def _embed_texts(pipeline: Pipeline, jobs: Sequence[TextsJob]) -> list[Embedded]:
    embeddings = pipeline.embed_texts([text for job in jobs for text in job.texts])
    return [Embedded(rows, rows) for rows in _split(embeddings, [len(job.texts) for job in jobs])]


def _split(rows: Float32[np.ndarray, "rows dim"], counts: Sequence[int]) -> list[Float32[np.ndarray, "_ dim"]]:
    return np.split(rows, np.cumsum(counts)[:-1])
