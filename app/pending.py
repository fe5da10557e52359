"""Pending: an item that waits for its answer in a stage, and the future that is resolved exactly once."""

import threading
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Out]):
    """What became of one item, and the seconds it spent waiting and running."""

    value: Out
    queue_s: float
    run_s: float


@dataclass(eq=False, slots=True)
class Pending(Generic[In, Out]):
    """One item between `submit` and its answer; times are on the clock of `time.perf_counter`."""

    item: In
    cost: int
    key: Hashable
    submitted_s: float
    expires_s: float
    future: "Future[Answer[Out]]" = field(default_factory=Future)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _resolved: bool = False

    @property
    def abandoned(self) -> bool:
        """Whether the caller cancelled it while it waited."""
        return self.future.cancelled()

    def begin(self) -> bool:
        """Say that it runs from now on, and cannot be cancelled; false if the caller was quicker."""
        return not self.future.cancelled() and self.future.set_running_or_notify_cancel()

    def answer(self, value: Out, pulled_s: float, ended_s: float) -> None:
        """Give the answer, unless it has one or failed."""
        if self._claim():
            self.future.set_result(Answer(value, pulled_s - self.submitted_s, ended_s - pulled_s))

    def fail(self, error: Exception) -> bool:
        """Give an error, unless it was answered, failed or cancelled before; whether that was so."""
        failed = self._claim() and (self.future.running() or self.begin())
        if failed:
            self.future.set_exception(error)
        return failed

    def _claim(self) -> bool:
        # The runner and whoever closes the stage may both want to resolve it.
        with self._lock:
            first, self._resolved = not self._resolved, True
        return first
