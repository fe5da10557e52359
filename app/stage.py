"""Stage: a bounded queue, one runner thread, and batches formed when the runner is free.

The service uses it twice (embedding and writing), each with its own items, costs and function; nothing here knows what
an item is. Callers on any thread submit items and get futures; the runner pulls the items whose turn it is and that may
share a batch, up to a cost budget, and calls one function on them. The batch is formed when the device is free, of what
queued up while it was busy, so a lone item never waits unless `max_wait_s` says so.

Promises: each future is resolved exactly once; an item that was cancelled or has expired frees its place and is never run;
when a batch of several items fails, each is retried alone, once, so that only the poisoned one fails; when the device is
out of memory, the budget is halved and the halves are run; the runner outlives every batch; `close` returns within its
bound and leaves no future unresolved.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar

from app.fair_queue import FairQueue
from app.pending import Answer, Pending
from app.stage_observer import BatchReport, DropReason, Outcome, StageObserver

In = TypeVar("In")
Out = TypeVar("Out")

_Delivery = Callable[[], object]

_log = logging.getLogger(__name__)


class QueueFullError(Exception):
    """There is no place; nothing was queued."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        """Say in how many seconds there may be one."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StageClosedError(Exception):
    """The stage is closed, or its runner is gone; the item was not run to its end."""


class ItemExpiredError(Exception):
    """The item's deadline passed while it waited; it was not run."""


class Stage(Generic[In, Out]):
    """A queue of `In` items that one runner turns into `Out` answers, batch by batch.

    `run` gets items of one key and returns one output for each, in order. An item that costs more than `max_batch_cost`
    runs alone. `queue_capacity` counts the cost of waiting items, not of running ones. `device` is entered before a batch is
    formed and left after it; stages that share a device share it. A `memory_error` says that the batch was too large.
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
        max_wait_s: float = 0.0,
        memory_error: type[Exception] | None = None,
        device: AbstractContextManager[Any] | None = None,
        observer: StageObserver | None = None,
    ) -> None:
        """Prepare the stage; nothing runs before `start`."""
        self.name = name
        self.queue_capacity = queue_capacity
        self.max_batch_cost = max_batch_cost
        self._run = run
        self._cost_of = cost_of
        self._key_of = key_of
        self._max_wait_s = max_wait_s
        self._memory_error = memory_error
        self._device = device or nullcontext()
        self._observer = observer or StageObserver()
        self._wakeup = threading.Condition()
        self._waiting = FairQueue[Pending[In, Out]]()
        self._running: list[Pending[In, Out]] = []
        self._batch_started_s = math.inf
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
    def batch_age_s(self) -> float:
        """Seconds since the call of `run` that is going on began; 0 if there is none."""
        return max(0.0, time.perf_counter() - self._batch_started_s)

    @property
    def queued_cost(self) -> int:
        """Cost of the items that wait."""
        with self._wakeup:
            self._sweep()
            return self._waiting.cost

    def submit(self, item: In, *, flow: Hashable = None, expires_s: float = math.inf) -> "Future[Answer[Out]]":
        """Queue one item; see `submit_all`."""
        return self.submit_all([item], flow=flow, expires_s=expires_s)[0]

    def submit_all(
        self, items: Iterable[In], *, flow: Hashable = None, expires_s: float = math.inf
    ) -> "list[Future[Answer[Out]]]":
        """Queue all of the items or none.

        Items of a `flow` (by default each call is one) keep their order, and flows share the runner fairly. Items that
        still wait at `expires_s`, on the clock of `time.perf_counter`, fail with ItemExpiredError.

        Raises:
            QueueFullError: no place for all of them.
            StageClosedError: closed, or the runner is gone.
        """
        now_s, flow = time.perf_counter(), object() if flow is None else flow
        entries = [Pending[In, Out](item, self._cost_of(item), self._key_of(item), now_s, expires_s) for item in items]
        with self._wakeup:
            if self._closing:
                raise StageClosedError(f"the {self.name} stage is closed")
            self._sweep()
            queued, cost = self._waiting.cost, sum(entry.cost for entry in entries)
            if queued + cost > self.queue_capacity:
                raise QueueFullError(f"the {self.name} queue holds {queued} of {self.queue_capacity}; {cost} do not fit")
            for entry in entries:
                self._waiting.push(entry, flow, entry.cost)
            self._wakeup.notify_all()
        return [entry.future for entry in entries]

    def close(self, timeout_s: float) -> bool:
        """Refuse new items, run the waiting ones for at most `timeout_s`, fail the rest; true if none was left."""
        with self._wakeup:
            self._closing = True
            self._wakeup.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return self._fail_left(StageClosedError(f"the {self.name} stage closed before this item was done")) == 0

    def _loop(self) -> None:
        try:
            while self._run_next():
                pass
        finally:
            self._fail_left(StageClosedError(f"the runner of the {self.name} stage is gone"))

    def _run_next(self) -> bool:
        """Wait for items, then for the device, and run a batch; false when the stage is closed and nothing waits."""
        with self._wakeup:
            self._wakeup.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return False
            if self._max_wait_s:
                first_s = min(entry.submitted_s for entry in self._waiting)
                self._wakeup.wait_for(self._enough_waits, first_s + self._max_wait_s - time.perf_counter())
        deliveries: list[_Delivery] = []
        with self._device:
            with self._wakeup:
                self._running = self._pull()
            if self._running:
                self._run_batch(self._running, time.perf_counter(), deliveries)
        # Only now: whoever gets an answer has work to do, in this interpreter, that must not keep the device idle.
        for deliver in deliveries:
            deliver()
        self._running = []
        return True

    def _enough_waits(self) -> bool:
        return self._closing or self._waiting.cost >= self.max_batch_cost

    def _pull(self) -> list[Pending[In, Out]]:
        """Take the item whose turn it is and, in order, the items of its key that fit; the others keep their order."""
        self._sweep()
        batch: list[Pending[In, Out]] = []
        cost = 0
        for entry in self._waiting:
            if batch and entry.key != batch[0].key:
                continue
            if batch and cost + entry.cost > self.max_batch_cost:
                break
            if entry.begin():
                batch.append(entry)
                cost += entry.cost
        self._waiting.serve(batch)
        return batch

    def _run_batch(
        self, batch: list[Pending[In, Out]], pulled_s: float, deliveries: list[_Delivery], *, last_try: bool = False
    ) -> None:
        """Call the stage's function, and again for parts of what fails; what to tell whom goes to `deliveries`."""
        outputs: Sequence[Out] = ()
        outcome: Outcome = "ok"
        error: Exception | None = None
        self._batch_started_s = started_s = time.perf_counter()
        try:
            outputs = self._run([entry.item for entry in batch])
            if len(outputs) != len(batch):
                raise RuntimeError(f"the {self.name} stage made {len(outputs)} answers for {len(batch)} items")
        except Exception as caught:
            error, outcome = caught, "failed"
            if self._memory_error is not None and isinstance(caught, self._memory_error):
                outcome = "out_of_memory"
        self._batch_started_s, ended_s = math.inf, time.perf_counter()
        report = BatchReport(self.name, len(batch), sum(entry.cost for entry in batch), ended_s - started_s, outcome)
        deliveries.append(partial(self._tell, partial(self._observer.on_batch, report)))
        if error is None:
            pairs = zip(batch, outputs, strict=True)
            deliveries += [partial(entry.answer, output, pulled_s, ended_s) for entry, output in pairs]
        elif len(batch) == 1 and (outcome == "failed" or last_try):
            deliveries.append(partial(batch[0].fail, error))
        else:
            for part in self._parts(batch, outcome):
                self._run_batch(part, pulled_s, deliveries, last_try=len(batch) == 1)

    def _parts(self, batch: list[Pending[In, Out]], outcome: Outcome) -> list[list[Pending[In, Out]]]:
        """In what parts to run again what failed; memory that a lone item lacked may have been a neighbour's.

        A lone item says nothing of batches: one that can never fit, sent again and again, would take the budget down to 1.
        """
        if outcome == "out_of_memory" and len(batch) > 1:
            cost = sum(entry.cost for entry in batch)
            self.max_batch_cost = max(1, min(self.max_batch_cost, cost) // 2)
            _log.warning("out of memory in the %s stage: batches cost at most %d from now", self.name, self.max_batch_cost)
            half = math.ceil(len(batch) / 2)
            return [batch[:half], batch[half:]]
        return [[entry] for entry in batch]

    def _sweep(self) -> None:
        """Drop the items that nobody waits for and those that are too late, so that they free their places at once."""
        now_s = time.perf_counter()
        gone = self._waiting.remove(lambda entry: entry.abandoned or entry.expires_s <= now_s)
        if gone:
            self._drop("expired", gone, ItemExpiredError(f"the deadline passed in the queue of the {self.name} stage"))

    def _fail_left(self, error: Exception) -> int:
        with self._wakeup:
            self._closing = True
            left = [*self._running, *self._waiting.remove(lambda _: True)]
        return self._drop("closed", left, error)

    def _drop(self, reason: DropReason, entries: Sequence[Pending[In, Out]], error: Exception) -> int:
        """Give the error to those that have no answer yet, tell of them and of the cancelled ones, and count the former."""
        failed = sum(entry.fail(error) for entry in entries)
        counts: dict[DropReason, int] = {reason: failed, "abandoned": sum(entry.abandoned for entry in entries)}
        for why, count in counts.items():
            if count:
                self._tell(partial(self._observer.on_drop, self.name, why, count))
        return failed

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            _log.exception("the observer of the %s stage failed", self.name)
