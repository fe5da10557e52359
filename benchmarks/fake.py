"""FakeLawPipeline: a pipeline without networks that takes as long as a cost law says, and answers deterministically."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.law import CostLaw
from models.artifact import ArtifactManifest
from models.pipeline import Budgets, Pipeline, ScoredCaption

_DIM = 8
_TOKENS = 8
_MANIFEST = ArtifactManifest(
    schema_version=1,
    name="fake-law",
    version="1",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    code_revision="none",
    licence="MIT",
    files={"clap/config.json": "0" * 64},
    recipe={},
    training_data={},
    metrics={},
)


class FakeLawPipeline(Pipeline):
    """Sleeps a + bn ms for n windows to embed and for n captions to write; the rest takes next to no time.

    It sleeps outside the GIL, as a device computes, so the cores are free for all that the service does besides.
    """

    def __init__(self, law: CostLaw, max_windows: int) -> None:
        self.manifest = _MANIFEST
        self._law = law
        self._max_windows = max_windows

    @property
    def budgets(self) -> Budgets:
        return Budgets(windows=self._max_windows)

    @property
    def concurrent(self) -> bool:
        return False

    @property
    def memory(self) -> dict[str, int]:
        return {}

    @property
    def dim(self) -> int:
        return _DIM

    @property
    def device_name(self) -> str:
        return f"fake ({self._law} ms)"

    def describe(self) -> dict[str, dict[str, Any]]:
        return {part: {"class": type(self).__name__} for part in ("encoder", "bridge", "decoder")}

    def warm_up(self) -> None:
        pass

    def embed_audio(self, windows: Iterable[np.ndarray]) -> np.ndarray:
        # A few samples tell the clips apart; looking at all of them would cost time that is not in the law.
        heads = [window[1_000 : 1_000 + _DIM] for window in windows]
        ends_s = self._ends_s(len(heads))
        rows = _unit(np.stack(heads) + np.linspace(0.01, 0.02, _DIM))
        _sleep_until(ends_s)
        return rows

    def bridge(self, embeddings: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        return _unit(embeddings + 0.01 * np.arange(_DIM) + 0.001 * (np.array(seeds)[:, None] % 1_000))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        ends_s = self._ends_s(len(texts))
        rows = _unit(np.array([[len(text) + 1.0, *range(1, _DIM)] for text in texts]))
        _sleep_until(ends_s)
        return rows

    def write(
        self, embeddings: np.ndarray, *, seeds: Sequence[int], candidates: int, max_new_tokens: int
    ) -> list[list[ScoredCaption]]:
        ends_s = self._ends_s(len(embeddings))
        tokens = min(_TOKENS, max_new_tokens)
        captions = [
            [
                ScoredCaption(f"a sound of {row[0]:.4f} and {row[-1]:.4f}, take {take}", 0.9 - 0.1 * take, tokens)
                for take in range(candidates)
            ]
            for row in embeddings
        ]
        _sleep_until(ends_s)
        return captions

    def _ends_s(self, count: int) -> float:
        """When a batch that starts now ends: what this process computes meanwhile is part of it, not on top of it."""
        return time.perf_counter() + self._law.batch_ms(count) / 1_000


def _sleep_until(ends_s: float) -> None:
    time.sleep(max(0.0, ends_s - time.perf_counter()))


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / lengths, dtype=np.float32)
