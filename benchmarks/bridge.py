"""What the bridge adds to the time of one caption, which without it is embedding and writing, one after the other.

    python -m benchmarks.bridge [--artifact DIR] [--out DIR]

One window at a time, as a lone request has it, and a batch of eight; ratios within one run.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.report import environment, format_results, write_json
from benchmarks.results import Results, Target
from models.artifact import EMBEDDED_ARTIFACT
from models.audio import WINDOW_SAMPLES
from models.pipeline import Pipeline

_AT_MOST = Target(high=2.0)
_Made = TypeVar("_Made")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; exit status 1 where the bridge adds more than it may."""
    parser = argparse.ArgumentParser(prog="benchmarks.bridge", description=__doc__.split("\n\n")[0])
    parser.add_argument("--artifact", type=Path, default=EMBEDDED_ARTIFACT, metavar="DIR", help="the embedded one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=50, metavar="N")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where bridge.json is written")
    options = parser.parse_args(arguments)
    pipeline, results = Pipeline.load(options.artifact, options.device), Results()
    pipeline.warm_up()
    for batch in (1, 8):
        measure(results, pipeline, batch, options.repeats)
    facts = environment()
    print(f"{facts['processor']}, {len(os.sched_getaffinity(0))} cores, {pipeline.device_name}\n")
    print(format_results(results))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "bridge.json", results, environment=facts)
    return 1 if results.missed else 0


def measure(results: Results, pipeline: Pipeline, batch: int, repeats: int) -> None:
    """Caption `batch` windows of noise again and again, after one time that warms up."""
    windows = np.random.default_rng(0).uniform(-0.1, 0.1, (batch, WINDOW_SAMPLES)).astype(np.float32)
    seeds = range(batch)
    for repeat in range(1 + repeats):
        audio, embed_s = _timed(lambda: pipeline.embed_audio(windows))
        bridged, bridge_s = _timed(lambda audio=audio: pipeline.bridge(audio, seeds))
        _, write_s = _timed(lambda bridged=bridged: pipeline.write(bridged, seeds=seeds, candidates=1, max_new_tokens=32))
        if repeat:
            added = 100 * bridge_s / (embed_s + write_s)
            results.add(f"bridge, added to {batch} caption(s)", added, "%", _AT_MOST)
            results.add(f"bridge, {batch} at once", 1e3 * bridge_s, "ms")
            results.requests += 1


def _timed(work: Callable[[], _Made]) -> tuple[_Made, float]:
    """Results come back as numpy arrays, so on a GPU, too, the work is done when they are there."""
    started = time.perf_counter()
    made = work()
    return made, time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
