"""A stage whose runner waits for the test, a clock that the test moves, and a record of what the stage told."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from app.stage import Answer, Stage
from app.stage_observer import BatchReport, DropReason, StageObserver
from tests.app.fakes import WAIT_S

Item = tuple[str, int]
"""Key and cost, unless a test says otherwise."""


class Clock:
    """Stands in for the module `time` where a stage looks at it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def perf_counter(self) -> float:
        return self.now_s


class Recorder(StageObserver):
    """Remembers all that a stage tells."""

    def __init__(self) -> None:
        self.reports: list[BatchReport] = []
        self.drops: list[tuple[DropReason, int]] = []

    def on_batch(self, report: BatchReport) -> None:
        self.reports.append(report)

    def on_drop(self, stage: str, reason: DropReason, count: int) -> None:
        self.drops.append((reason, count))

    def dropped(self, reason: DropReason) -> int:
        return sum(count for dropped, count in self.drops if dropped == reason)

    def told(self) -> list[tuple[int, int, str]]:
        return [(report.size, report.cost, report.outcome) for report in self.reports]


class Held:
    """A stage that runs its batches from when it is told to, and remembers them."""

    def __init__(self, **settings: Any) -> None:
        self.batches: list[list[Item]] = []
        self.recorder = Recorder()
        self.on_run: Callable[[Sequence[Item]], None] = lambda _: None
        """Called in each batch; may raise."""
        self.free = threading.Event()
        self.running = threading.Event()
        defaults = {
            "cost_of": lambda item: item[1],
            "key_of": lambda item: item[0],
            "queue_capacity": 100,
            "max_batch_cost": 4,
            "observer": self.recorder,
        }
        self.stage = Stage[Item, str]("test", self._run, **(defaults | settings))

    def _run(self, items: Sequence[Item]) -> list[str]:
        self.batches.append(list(items))
        self.running.set()
        assert self.free.wait(WAIT_S)
        self.on_run(items)
        return [f"{key}{cost}" for key, cost in items]

    def hold(self) -> "Future[Answer[str]]":
        """Have an item running, so that what comes next queues up."""
        self.stage.start()
        future = self.stage.submit(("first", 1))
        assert self.running.wait(WAIT_S)
        return future

    def end(self) -> None:
        """Let go of the runner and see it end."""
        self.free.set()
        self.stage.close(WAIT_S)


def values(futures: Sequence["Future[Answer[str]]"]) -> list[str]:
    """Wait for the answers."""
    return [future.result(WAIT_S).value for future in futures]
