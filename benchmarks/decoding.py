"""Decoding in threads or in processes: which is faster, and how long it keeps other Python threads waiting.

    python -m benchmarks.decoding --out DIR

A pool decodes files to windows, as the service does before it embeds them. Processes get the file's bytes and send the
windows back, both pickled, as a process pool of the service would have to. Meanwhile a thread of the parent, as the event
loop is one, wakes every 2 ms; how late it is shows what the decoding does to it. All pools are measured in turn, again and
again.
"""

import argparse
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.clips import encoded, noisy_tone
from benchmarks.report import environment, format_figure, format_table, write_json
from benchmarks.results import Results
from benchmarks.stats import percentile
from models.audio import AudioLimits, cut_windows, decode_audio

_WORKERS = (1, 2, 4)
_BEAT_S = 0.002
_BASE = "1 thread"
_SPEED, _LATENESS = "speed of", "lateness with"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file."""

    name: str
    data: bytes


def decode(data: bytes) -> np.ndarray:
    """What a worker does with a file."""
    return cut_windows(decode_audio(data, AudioLimits()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = _parse(arguments)
    batch_s, rounds, repeats = (0.05, 1, 2) if options.quick else (0.5, 3, options.repeats)
    results, kinds = Results(), _kinds()
    with _pools() as pools:
        for kind in kinds:
            files = _files_for(kind, batch_s, rounds)
            for _ in range(repeats):
                _measure(results, pools, kind, files)
    facts = environment()
    print(f"{facts['processor']}, {len(os.sched_getaffinity(0))} cores; medians of {repeats} (lowest–highest)\n")
    print(_table(results, kinds, _SPEED, f"speed ÷ {_BASE}'s", [f"{_BASE}, files/s", *list(pools)[1:]]), "\n")
    print(_table(results, kinds, _LATENESS, "lateness, p99, ms", list(pools)))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "decoding.json", results, environment=facts)
        print(f"\nwritten: {options.out / 'decoding.json'}")
    return 0


def _kinds() -> list[Kind]:
    """Files as users send them."""
    stereo_48k, stereo_44k = (noisy_tone(10, 1, rate_hz, channels=2) for rate_hz in (48_000, 44_100))
    return [
        Kind("wav 1 s, 48 kHz mono", encoded(noisy_tone(1, 0), 48_000)),
        Kind("wav 10 s, 48 kHz stereo", encoded(stereo_48k, 48_000)),
        Kind("wav 10 s, 44.1 kHz stereo", encoded(stereo_44k, 44_100)),
        Kind("flac 10 s, 44.1 kHz stereo", encoded(stereo_44k, 44_100, format="FLAC")),
        Kind(
            "mp3 30 s, 44.1 kHz stereo",
            encoded(noisy_tone(30, 2, 44_100, channels=2), 44_100, format="MP3", subtype="MPEG_LAYER_III"),
        ),
    ]


@contextmanager
def _pools() -> Iterator[dict[str, Executor]]:
    """Pools by name, with all their workers running."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools: dict[str, Executor] = {}
        for count in _WORKERS:
            pools[f"{count} thread{'s' * (count > 1)}"] = stack.enter_context(ThreadPoolExecutor(count))
        for count in _WORKERS:
            pools[f"{count} process{'es' * (count > 1)}"] = stack.enter_context(ProcessPoolExecutor(count, context))
        for count, pool in zip(_WORKERS * 2, pools.values(), strict=True):
            seen: set[tuple[int, int]] = set()
            while len(seen) < count:
                seen.update(pool.map(worker, range(count)))
        yield pools


def worker(_: int) -> tuple[int, int]:
    """Who runs this; slow enough that one worker cannot run it for all."""
    time.sleep(0.01)
    return os.getpid(), threading.get_ident()


def _files_for(kind: Kind, batch_s: float, rounds: int) -> list[bytes]:
    """As many copies as one thread decodes in `batch_s`, but at least `rounds` for every worker of the largest pool."""
    decode(kind.data)
    started_s = time.perf_counter()
    decode(kind.data)
    one_s = time.perf_counter() - started_s
    return [kind.data] * max(rounds * max(_WORKERS), round(batch_s / one_s))


def _measure(results: Results, pools: dict[str, Executor], kind: Kind, files: list[bytes]) -> None:
    """Decode all files once with every pool."""
    per_s: dict[str, float] = {}
    for name, pool in pools.items():
        with _heartbeat() as late_ms:
            started_s = time.perf_counter()
            futures = deque(pool.submit(decode, data) for data in files)
            while futures:
                # Nobody keeps the windows: they would fill the memory.
                futures.popleft().result()
            per_s[name] = len(files) / (time.perf_counter() - started_s)
        results.add(f"{kind.name}: {_LATENESS} {name}", percentile(late_ms, 99), "ms")
        figure = (per_s[name], "files/s") if name == _BASE else (per_s[name] / per_s[_BASE], f"÷ {_BASE}'s")
        results.add(f"{kind.name}: {_SPEED} {name}", *figure)


def _table(results: Results, kinds: Sequence[Kind], figure: str, title: str, heads: Sequence[str]) -> str:
    """One line a kind of file, one column a pool."""

    def cell(row: str) -> str:
        spread = results.rows[row].spread
        median, low, high = map(format_figure, (spread.median, spread.low, spread.high))
        return f"{median} ({low}–{high})"

    lines = [[kind.name, *(cell(f"{kind.name}: {figure} {head.split(',')[0]}") for head in heads)] for kind in kinds]
    return format_table((title, *heads), lines)


@contextmanager
def _heartbeat() -> Iterator[list[float]]:
    """Let a thread wake every few milliseconds; collects how late it was."""
    late_ms: list[float] = []
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            due_s = time.perf_counter() + _BEAT_S
            time.sleep(_BEAT_S)
            late_ms.append(1_000 * (time.perf_counter() - due_s))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield late_ms
    finally:
        stop.set()
        thread.join()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.decoding", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="how often everything is measured (default 5)")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
