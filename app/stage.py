"""Stage: a bounded queue, one runner thread, and batches formed when the runner is free.

The service uses it twice (embedding and writing), each with its own items, costs and function; nothing here knows what
an item is. Callers on any thread submit items and get futures; the runner pulls the oldest items that may share a batch,
up to a cost budget, and calls one function on them. No timer: the batch is formed when the device is free, of what queued
up while it was busy, so a lone item never waits.

Promises: each future is resolved exactly once; a cancelled item frees its place and is never run; when a batch of several
items fails, each is retried alone, so that only the poisoned one fails; the runner outlives every batch; `close` returns
within its bound and leaves no future unresolved.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

_log = logging.getLogger(__name__)


class QueueFullError(Exception):
    """The queue has no place for the items; nothing was queued."""


class StageClosedError(Exception):
    """The stage is closed, or its runner is gone; the item was not run to its end."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[Out]):
    """What became of one item, and the seconds it spent waiting and running."""

    value: Out
    queue_s: float
    run_s: float


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One call of the stage's function."""

    stage: str
    size: int
    cost: int
    run_s: float
    failed: bool


@dataclass(eq=False, slots=True)
class _Entry(Generic[In, Out]):
    item: In
    cost: int
    key: Hashable
    submitted_s: float
    future: "Future[Answer[Out]]" = field(default_factory=Future)
    claimed: bool = False


class Stage(Generic[In, Out]):
    """A queue of `In` items that one runner turns into `Out` answers, batch by batch.

    `run` gets items of one key and returns one output for each, in order. An item that costs more than `max_batch_cost`
    runs alone. `queue_capacity` counts the cost of waiting items, not of running ones. `device` is entered before a batch is
    formed and left after it; stages that share a device share it.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[In]], Sequence[Out]],
        *,
        cost_of: Callable[[In], int],
        key_of: Callable[[In], Hashable],
        queue_capacity: int,
        max_batch_cost: int,
        device: AbstractContextManager[Any] | None = None,
        on_batch: Callable[[BatchReport], None] = lambda _: None,
    ) -> None:
        """Prepare the stage; nothing runs before `start`."""
        self.name = name
        self.queue_capacity = queue_capacity
        self.max_batch_cost = max_batch_cost
        self._run = run
        self._cost_of = cost_of
        self._key_of = key_of
        self._device = device or nullcontext()
        self._on_batch = on_batch
        self._wakeup = threading.Condition()
        self._waiting: deque[_Entry[In, Out]] = deque()
        self._running: list[_Entry[In, Out]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name=f"stage-{name}", daemon=True)

    def start(self) -> None:
        """Start the runner."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the runner is there to answer what is submitted now."""
        return self._thread.is_alive() and not self._closing

    @property
    def queued_cost(self) -> int:
        """Cost of the items that wait."""
        with self._wakeup:
            return self._live_cost()

    def submit(self, item: In) -> "Future[Answer[Out]]":
        """Queue one item.

        Raises:
            QueueFullError: no place.
            StageClosedError: closed, or the runner is gone.
        """
        return self.submit_all([item])[0]

    def submit_all(self, items: Iterable[In]) -> "list[Future[Answer[Out]]]":
        """Queue all of the items or none, next to each other.

        Raises:
            QueueFullError: no place for all of them.
            StageClosedError: closed, or the runner is gone.
        """
        now_s = time.perf_counter()
        entries = [_Entry[In, Out](item, self._cost_of(item), self._key_of(item), now_s) for item in items]
        with self._wakeup:
            if self._closing:
                raise StageClosedError(f"the {self.name} stage is closed")
            queued, cost = self._live_cost(), sum(entry.cost for entry in entries)
            if queued + cost > self.queue_capacity:
                raise QueueFullError(f"the {self.name} queue holds {queued} of {self.queue_capacity}; {cost} do not fit")
            self._waiting.extend(entries)
            self._wakeup.notify()
        return [entry.future for entry in entries]

    def close(self, timeout_s: float) -> bool:
        """Refuse new items, run the waiting ones for at most `timeout_s`, fail the rest; true if none was left."""
        with self._wakeup:
            self._closing = True
            self._wakeup.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        error = StageClosedError(f"the {self.name} stage closed before this item was done")
        return self._fail(self._take_left(), error) == 0

    def _loop(self) -> None:
        try:
            while self._run_next():
                pass
        finally:
            self._fail(self._take_left(), StageClosedError(f"the runner of the {self.name} stage is gone"))

    def _run_next(self) -> bool:
        """Wait for items, then for the device, and run a batch; false when the stage is closed and nothing waits."""
        with self._wakeup:
            self._wakeup.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return False
        with self._device:
            with self._wakeup:
                self._running = self._pull()
            if self._running:
                self._run_batch(self._running, time.perf_counter())
            self._running = []
        return True

    def _take_left(self) -> list[_Entry[In, Out]]:
        with self._wakeup:
            self._closing = True
            left = [*self._running, *self._waiting]
            self._waiting.clear()
        return left

    def _pull(self) -> list[_Entry[In, Out]]:
        """Take the oldest item and, in order, the items of its key that fit; the others keep their order."""
        batch: list[_Entry[In, Out]] = []
        left: deque[_Entry[In, Out]] = deque()
        cost, open_for_more = 0, True
        for entry in self._waiting:
            if batch and (entry.key != batch[0].key or not open_for_more):
                left.append(entry)
            elif batch and cost + entry.cost > self.max_batch_cost:
                open_for_more = False
                left.append(entry)
            elif entry.future.set_running_or_notify_cancel():
                batch.append(entry)
                cost += entry.cost
        self._waiting = left
        return batch

    def _run_batch(self, batch: list[_Entry[In, Out]], pulled_s: float) -> None:
        started_s = time.perf_counter()
        failed = True
        try:
            outputs = self._run([entry.item for entry in batch])
            if len(outputs) != len(batch):
                raise RuntimeError(f"the {self.name} stage made {len(outputs)} answers for {len(batch)} items")
            failed = False
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch, error)
        ended_s = time.perf_counter()
        if not failed:
            for entry, output in zip(batch, outputs, strict=True):
                answer = Answer(output, pulled_s - entry.submitted_s, ended_s - pulled_s)
                if self._claim(entry):
                    entry.future.set_result(answer)
        self._report(BatchReport(self.name, len(batch), sum(e.cost for e in batch), ended_s - started_s, failed))
        if failed and len(batch) > 1:
            for entry in batch:
                self._run_batch([entry], pulled_s)

    def _report(self, report: BatchReport) -> None:
        try:
            self._on_batch(report)
        except Exception:
            _log.exception("the observer of the %s stage failed", self.name)

    def _fail(self, entries: Iterable[_Entry[In, Out]], error: Exception) -> int:
        """Give `error` to those that have no answer yet and return how many those were."""
        count = 0
        for entry in entries:
            future = entry.future
            if self._claim(entry) and (future.running() or future.set_running_or_notify_cancel()):
                future.set_exception(error)
                count += 1
        return count

    def _claim(self, entry: _Entry[In, Out]) -> bool:
        """Whether the caller, and nobody before it, may resolve this entry's future."""
        with self._wakeup:
            first, entry.claimed = not entry.claimed, True
        return first

    def _live_cost(self) -> int:
        """Drop cancelled items, so that they free their place at once; return the cost of the rest."""
        if any(entry.future.cancelled() for entry in self._waiting):
            self._waiting = deque(entry for entry in self._waiting if not entry.future.cancelled())
        return sum(entry.cost for entry in self._waiting)
