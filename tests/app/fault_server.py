"""A server process with a pipeline that breaks on demand: `python -m tests.app.fault_server --settings JSON --work DIR`.

What is at fault is chosen by a request's seed (`seed // FAULT` is a `Fault`), and files in the work folder hold batches
back: while DIR/hold-embed or DIR/hold-write is there, that stage's batches wait before they do anything. DIR/journal gets
one JSON line as a batch of either stage begins. Every caption spells out the clip that it is for, and the seed that bridge
and decoder were given for it, so that a mixed-up answer can be seen.
"""

import argparse
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from app.command_serve import bind_port, run_server
from app.logs import configure_logging
from app.main import create_app
from app.settings import ServiceSettings
from models.audio import SAMPLE_RATE_HZ, WINDOW_S
from models.errors import DeviceMemoryError
from models.pipeline import Budgets, Pipeline, ScoredCaption
from tests.app.fakes import MANIFEST, encoded

DIM = 4
FAULT = 10_000
"""Seeds below it are without a fault; `fault.seed(n)` is one with it."""
MAX_WINDOWS = 16
"""Windows that a clip may have."""
SECRET = "secret of the device"

_HOLD_S = 60.0
_CODES = 32_768
_ANGLE = math.pi / 2 / _CODES
_SEED_ANGLE = math.pi / 4 / FAULT

_Rows = Float32[np.ndarray, "rows columns"]


class Fault(IntEnum):
    """What goes wrong with a request."""

    NONE = 0
    POISON_EMBED = 1
    """Every batch of the embed stage that it is in raises an error."""
    POISON_WRITE = 2
    FATAL = 3
    """The runner of the embed stage dies of it."""
    MEMORY_EMBED = 4
    """The first batch of the embed stage that it is in is too much for the device's memory."""
    MEMORY_WRITE = 5

    def seed(self, number: int) -> int:
        """A seed with this fault."""
        return self * FAULT + number


class FaultPipeline(Pipeline):
    """Writes a sound's level down as an angle, turns it by the seed, and reads both back as the caption."""

    def __init__(self, work: Path, batch_s: float, concurrent: bool) -> None:
        self.manifest = MANIFEST
        self._work = work
        self._batch_s = batch_s
        self._concurrent = concurrent
        self._journal = os.open(work / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._memory_faults: set[int] = set()

    dim = property(lambda self: DIM)
    device_name = property(lambda self: "fake")
    budgets = property(lambda self: Budgets())
    concurrent = property(lambda self: self._concurrent)
    memory = property(lambda self: {})

    def describe(self) -> dict[str, dict[str, Any]]:
        return {"encoder": {"class": "E"}, "bridge": {"class": "B"}, "decoder": {"class": "D"}}

    def warm_up(self) -> None:
        """Nothing is cold."""

    def embed_audio(self, windows: Iterable[np.ndarray]) -> _Rows:
        windows = np.stack(list(windows))
        levels = np.rint(windows[:, 0] * _CODES)
        if not (windows == windows[:, :1]).all():
            raise ValueError("a window holds the samples of two clips")
        self._enter("embed", [int(level - 1) // MAX_WINDOWS for level in levels])
        return _circle(levels)

    def bridge(self, embeddings: _Rows, seeds: Sequence[int]) -> _Rows:
        self._fail(seeds, Fault.POISON_EMBED, Fault.MEMORY_EMBED)
        turned = (np.array(seeds) % FAULT)[:, None] * _SEED_ANGLE
        bridged: _Rows = (embeddings * np.cos(turned)).astype(np.float32)
        bridged[:, 2] = np.sin(turned[:, 0])
        return bridged

    def embed_texts(self, texts: Sequence[str]) -> _Rows:
        self._enter("embed", [])
        return _circle(np.array([text_code(text) for text in texts]))

    def write(
        self, embeddings: _Rows, *, seeds: Sequence[int], candidates: int, max_new_tokens: int
    ) -> list[list[ScoredCaption]]:
        levels = np.arctan2(embeddings[:, 1], embeddings[:, 0]) / _ANGLE
        turned = np.arctan2(embeddings[:, 2], np.hypot(embeddings[:, 0], embeddings[:, 1])) / _SEED_ANGLE
        self._enter("write", [int(level - 1) // MAX_WINDOWS for level in np.rint(2 * levels) / 2])
        self._fail(seeds, Fault.POISON_WRITE, Fault.MEMORY_WRITE)
        return [
            [ScoredCaption(_spelt(level, round(bridged_by), seed, rank), 0.9 - 0.1 * rank, 5) for rank in range(candidates)]
            for level, bridged_by, seed in zip(levels, turned, seeds, strict=True)
        ]

    def load(self, *_: object) -> Pipeline:  # type: ignore[override]
        """Stands for Pipeline.load."""
        return self

    def _enter(self, stage: str, clips: list[int]) -> None:
        os.write(self._journal, (json.dumps({"stage": stage, "clips": clips}) + "\n").encode())
        end_s = time.monotonic() + _HOLD_S
        while (self._work / f"hold-{stage}").exists() and time.monotonic() < end_s:
            time.sleep(0.002)
        time.sleep(self._batch_s)

    def _fail(self, seeds: Sequence[int], poison: Fault, memory: Fault) -> None:
        faults = {seed // FAULT for seed in seeds}
        if poison in faults:
            raise RuntimeError(SECRET)
        if Fault.FATAL in faults:
            raise SystemExit(SECRET)
        if memory in faults - self._memory_faults:
            self._memory_faults.add(memory)
            raise DeviceMemoryError(SECRET)


def level_of_clip(clip: int) -> int:
    """The level of a clip's first window, as a 16-bit sample; it rises by one a window."""
    return clip * MAX_WINDOWS + 1


def clip_bytes(clip: int, windows: int = 1) -> bytes:
    """A FLAC file of so many windows whose levels say which clip and window they are."""
    counts = [WINDOW_S * SAMPLE_RATE_HZ] * (windows - 1) + [SAMPLE_RATE_HZ // 10 if windows == 1 else SAMPLE_RATE_HZ]
    levels = np.arange(windows, dtype=np.int16) + np.int16(level_of_clip(clip))
    return encoded(np.repeat(levels, counts), SAMPLE_RATE_HZ, format="FLAC")


def caption_of(clip: int, seed: int, windows: int = 1, rank: int = 0) -> str:
    """The caption of a clip's file."""
    return _spelt(level_of_clip(clip) + (windows - 1) / 2, seed % FAULT, seed, rank)


def text_code(text: str) -> int:
    """The level that a text's embedding stands for."""
    return zlib.crc32(text.encode()) % _CODES


def level_of(embedding: Sequence[float]) -> int:
    """The level that an embedding stands for."""
    return round(math.atan2(embedding[1], embedding[0]) / _ANGLE)


def run_forked(arguments: Sequence[str], log: Path) -> None:
    """Be the program in a process that was forked for it: write to `log`, exit with the status."""
    opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    sys.exit(main(arguments))


def _spelt(level: float, bridged_by: int, seed: int, rank: int) -> str:
    """A caption; levels are whole or half."""
    return f"level {round(2 * level) / 2} bridged by {bridged_by} written by {seed} as {rank}"


def _circle(levels: Float32[np.ndarray, " rows"] | np.ndarray) -> _Rows:
    """Unit vectors whose mean, at unit length, has the mean angle."""
    rows = np.zeros((len(levels), DIM))
    rows[:, 0], rows[:, 1] = np.cos(levels * _ANGLE), np.sin(levels * _ANGLE)
    return rows.astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal, on a free port; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", default="{}", help="ServiceSettings as JSON")
    parser.add_argument("--work", type=Path, required=True, help="folder for the journal and what holds batches")
    parser.add_argument("--batch-s", type=float, default=0.002, help="seconds that one batch takes")
    parser.add_argument("--concurrent", action="store_true", help="let the stages use the device at once, as on a GPU")
    parsed = parser.parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("DIFFUSION_LINK_")]:
        del os.environ[name]
    settings = ServiceSettings(**json.loads(parsed.settings))
    configure_logging()
    app = create_app(settings, load=FaultPipeline(parsed.work, parsed.batch_s, parsed.concurrent).load)
    with bind_port(settings.host, 0) as listener:
        return run_server(app, settings, listener)


if __name__ == "__main__":
    sys.exit(main())
