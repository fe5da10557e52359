"""A pipeline without networks, with doors to hold, poison and watch it; sounds as bytes; the shape of errors."""

import io
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile as sf
from jaxtyping import Float32

from models.artifact import ArtifactManifest
from models.pipeline import Budgets, Pipeline, ScoredCaption

DIM = 8
WAIT_S = 30.0
"""For what happens at once unless something is broken."""
POISON_SEED = 666
FATAL_SEED = 667

_Rows = Float32[np.ndarray, "rows columns"]

MANIFEST = ArtifactManifest(
    schema_version=1,
    name="fake",
    version="7",
    created=datetime(2026, 1, 2, tzinfo=UTC),
    code_revision="abc",
    licence="MIT",
    files={"clap/config.json": "0" * 64},
    recipe={},
    training_data={"scenes": 3},
    metrics={"top1": 0.5},
)


class FakePipeline(Pipeline):
    """Embeds a window by the level of each eighth of it, and writes that down as the caption."""

    def __init__(self) -> None:
        self.manifest = MANIFEST
        self.warm = False
        self.embedded: list[int] = []
        """Windows of each call."""
        self.texts: list[int] = []
        self.written: list[tuple[int, int, int]] = []
        """Rows, candidates and max_new_tokens of each call."""
        self.gate = threading.Event()
        """Cleared, it holds every call."""
        self.gate.set()
        self.entered = threading.Event()

    @property
    def dim(self) -> int:
        return DIM

    @property
    def device_name(self) -> str:
        return "fake"

    @property
    def budgets(self) -> Budgets:
        return Budgets(windows=16)

    @property
    def concurrent(self) -> bool:
        return False

    @property
    def memory(self) -> dict[str, int]:
        return {"allocated": 1_000, "total": 4_000}

    def describe(self) -> dict[str, dict[str, Any]]:
        return {"encoder": {"class": "E"}, "bridge": {"class": "B"}, "decoder": {"class": "D"}}

    def warm_up(self) -> None:
        self.warm = True

    def embed_audio(self, windows: Iterable[np.ndarray]) -> _Rows:
        self._enter()
        windows = np.stack(list(windows))
        self.embedded.append(len(windows))
        levels = np.sqrt((windows.reshape(len(windows), DIM, -1) ** 2).mean(axis=2)) + np.linspace(0.01, 0.02, DIM)
        return _unit(levels)

    def bridge(self, embeddings: _Rows, seeds: Sequence[int]) -> _Rows:
        if POISON_SEED in seeds:
            raise RuntimeError("secret of the device")
        if FATAL_SEED in seeds:
            raise SystemExit("the runner dies")
        return _unit(embeddings + 0.01 * np.arange(DIM) + 0.001 * np.array(seeds)[:, None])

    def embed_texts(self, texts: Sequence[str]) -> _Rows:
        self._enter()
        self.texts.append(len(texts))
        return _unit(np.array([[len(text) + 1.0] * (DIM - 1) + [text.count("a")] for text in texts]))

    def write(
        self, embeddings: _Rows, *, seeds: Sequence[int], candidates: int, max_new_tokens: int
    ) -> list[list[ScoredCaption]]:
        self._enter()
        self.written.append((len(embeddings), candidates, max_new_tokens))
        return [
            [
                ScoredCaption(f"sound {row[0]:.3f} {row[-1]:.3f} ({seed}, {max_new_tokens}, {i})", 0.9 - 0.1 * i, 4)
                for i in range(candidates)
            ]
            for row, seed in zip(embeddings, seeds, strict=True)
        ]

    def load(  # type: ignore[override]
        self, directory: Path, device: str, cpu_threads: int | None, precision: str, compile_encoder: bool
    ) -> Pipeline:
        """Stands for Pipeline.load."""
        self.loaded = (directory, device, cpu_threads, precision, compile_encoder)
        return self

    def _enter(self) -> None:
        self.entered.set()
        assert self.gate.wait(WAIT_S)


def _unit(rows: np.ndarray) -> _Rows:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def sound(duration_s: float = 1.0, rate_hz: int = 48_000, channels: int = 1, seed: int = 0, **settings: str) -> bytes:
    """A file of noise that grows louder; WAV unless `format` says otherwise."""
    count = max(1, round(duration_s * rate_hz))
    noise = np.random.default_rng(seed).uniform(-1, 1, (count, channels)) * np.linspace(0.1, 0.9, count)[:, None]
    return encoded(noise, rate_hz, **settings)


def encoded(samples: np.ndarray, rate_hz: int = 48_000, **settings: str) -> bytes:
    """Samples as a file."""
    file = io.BytesIO()
    sf.write(file, samples, rate_hz, **{"format": "WAV", **settings})
    return file.getvalue()


def error_of(response: httpx.Response) -> dict[str, str]:
    """The error of a response that has the one shape."""
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"type", "message", "request_id"}
    assert body["error"]["request_id"] == response.headers["x-request-id"]
    error: dict[str, str] = body["error"]
    return error
