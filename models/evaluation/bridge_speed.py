"""How long each bridge takes: a thousand embeddings at once, and one alone. Times are never the same twice.

So they stand in a file of their own (speed.json), and a report's other figures can be compared byte for byte.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from models.bridge.interface import Bridge
from models.device import describe_device
from models.evaluation.settings import Figures
from models.evaluation.text_table import TextTable

_ROWS = 1000
_PASSES = 5
_ALONE = 20
"""Embeddings bridged one at a time in one pass."""


class BridgeSpeed(Figures):
    """Medians over the passes."""

    name: str
    thousand_s: float
    alone_s: float
    """Of one embedding in a batch of its own, what a single request waits for."""


class SpeedReport(Figures):
    """What was timed where."""

    device: str
    threads: int
    """Of the CPU that torch may use."""
    passes: int
    bridges: tuple[BridgeSpeed, ...]


@torch.inference_mode()
def measure_speeds(
    bridges: Mapping[str, Bridge],
    audio: Float[Tensor, "scenes dim"],
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> SpeedReport:
    """Time every bridge on the same embeddings, repeated or cut to a thousand."""
    rows = audio.to(device)[torch.arange(_ROWS, device=device) % len(audio)]
    speeds = []
    for name, bridge in bridges.items():
        thousand_s = _median_s(partial(bridge, rows, range(_ROWS)), device, clock)
        alone_s = _median_s(partial(_one_by_one, bridge, rows[:_ALONE]), device, clock) / _ALONE
        speeds.append(BridgeSpeed(name=name, thousand_s=thousand_s, alone_s=alone_s))
    return SpeedReport(
        device=describe_device(device), threads=torch.get_num_threads(), passes=_PASSES, bridges=tuple(speeds)
    )


def _one_by_one(bridge: Bridge, rows: Float[Tensor, "rows dim"]) -> None:
    for index in range(len(rows)):
        bridge(rows[index : index + 1], [index])


def _median_s(work: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """Seconds of one pass, the median of several, after one that warms up."""
    times = []
    for _ in range(1 + _PASSES):
        started = clock()
        work()
        if device.type == "cuda":
            # What the GPU was told to do is not yet done.
            torch.cuda.synchronize(device)
        times.append(clock() - started)
    return statistics.median(times[1:])


def speed_table(report: SpeedReport) -> TextTable:
    """Seconds a thousand embeddings, and milliseconds one alone."""
    rows = [(speed.name, f"{speed.thousand_s:.5f}", f"{1e3 * speed.alone_s:.3f}") for speed in report.bridges]
    title = f"Time on {report.device}, {report.threads} threads, median of {report.passes} passes"
    return TextTable(title, ("", "a thousand embeddings, s", "one alone, ms"), tuple(rows))
