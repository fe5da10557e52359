"""Stage: whatever callers, faults and the end of the service do in whatever order, no answer is lost, doubled or mixed up.

A hypothesis state machine over a real stage and its thread. While the runner is held, each rule waits until it has come to
rest, so that what waits is known exactly; while it is released, it races with the rules. Only a rule moves the clock.
"""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import app.stage
from app.stage import ItemExpiredError, QueueFullError, Stage, StageClosedError
from app.stage_observer import Outcome
from tests.app.fakes import WAIT_S
from tests.app.held_stage import Clock, Recorder
from tests.app.stage_gate import Gate
from tests.app.stage_history import (
    BatchError,
    Call,
    Item,
    OutOfMemoryError,
    PoisonError,
    cancel_all,
    check_batches,
    check_fate,
    check_tries,
)

settings.register_profile("stage", max_examples=200, stateful_step_count=40, deadline=None, database=None)
settings.register_profile("nightly", settings.get_profile("stage"), max_examples=3_000)

CAPACITY = 40
BUDGET = 12
ITEMS = st.lists(st.tuples(st.sampled_from("aaab"), st.sampled_from([1, 1, 2, 3, 5])), min_size=1, max_size=6)
FLOWS = st.sampled_from([None, "x", "y"])
PATIENCE_S = st.sampled_from([float("inf")] * 5 + [2.0, 1.0, 0.0, -1.0])
RECENT = st.integers(0, 7)
"""Counts items from the newest."""


class StageMachine(RuleBasedStateMachine):
    """The rules; `teardown` sees the stage out and checks the whole story."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock_patch = mock.patch.object(app.stage, "time", self.clock)
        self.clock_patch.start()
        self.gate = Gate(self.clock)
        self.held = True
        self.closed = False
        self.items: list[Item] = []
        self.calls: list[Call] = []
        self.faults: deque[Exception] = deque()
        self.late: list[Item] = []
        self.submissions = 0
        self.recorder = Recorder()
        self.stage = Stage[Item, tuple[str, int]](
            "test",
            self.run,
            cost_of=lambda item: item.cost,
            key_of=lambda item: item.key,
            queue_capacity=CAPACITY,
            max_batch_cost=BUDGET,
            memory_error=OutOfMemoryError,
            device=self.gate,
            observer=self.recorder,
        )
        self.stage.start()

    def run(self, items: Sequence[Item]) -> list[tuple[str, int]]:
        """What the stage runs, on its own thread."""
        self.late += [item for item in items if not item.calls and item.expires_s <= self.gate.entered_s]
        self.gate.pass_through()
        error = self.faults.popleft() if self.faults else None
        if error is None and any(item.poisoned for item in items):
            error = PoisonError()
        outcome: Outcome = "ok" if error is None else "failed"
        if isinstance(error, OutOfMemoryError):
            outcome = "out_of_memory"
        call = Call(items, outcome)
        self.calls.append(call)
        for item in items:
            item.calls.append(call)
        if error is not None:
            raise error
        return [(item.key, item.number) for item in items]

    @rule(items=ITEMS, flow=FLOWS)
    def submit_patiently(self, items: list[tuple[str, int]], flow: str | None) -> None:
        self.submit(items, flow, float("inf"))

    @rule(items=ITEMS, flow=FLOWS, patience_s=PATIENCE_S)
    def submit(self, items: list[tuple[str, int]], flow: str | None, patience_s: float) -> None:
        expires_s = self.clock.now_s + patience_s
        self.submissions += 1
        first = len(self.items)
        new = [
            Item(first + number, key, flow or self.submissions, cost, expires_s) for number, (key, cost) in enumerate(items)
        ]
        cost, waiting_cost = sum(item.cost for item in new), self.waiting_cost()
        try:
            futures = self.stage.submit_all(new, flow=flow, expires_s=expires_s)
        except StageClosedError:
            assert self.closed
            return
        except QueueFullError:
            assert waiting_cost + cost > CAPACITY
            return
        assert not self.closed
        assert not self.held or waiting_cost + cost <= CAPACITY
        for item, future in zip(new, futures, strict=True):
            self.items.append(item)
            item.future = future
            future.add_done_callback(item.count)
        self.settle()

    @rule(flow=FLOWS)
    def submit_too_much(self, flow: str | None) -> None:
        big = [Item(-1, "a", flow, 5, float("inf")) for _ in range(1 + CAPACITY // 5)]
        with pytest.raises((QueueFullError, StageClosedError)):
            self.stage.submit_all(big, flow=flow)

    @rule(which=RECENT)
    def cancel(self, which: int) -> None:
        for item in self.recent(which):
            may_cancel = item.waits or item.future.cancelled()
            assert item.future.cancel() == may_cancel or not self.held

    @rule(which=RECENT)
    def give_up_on_the_others_when_one_is_done(self, which: int) -> None:
        for item in self.recent(which):
            item.future.add_done_callback(partial(cancel_all, [other for other in self.items if other is not item]))

    @rule(which=RECENT)
    def poison(self, which: int) -> None:
        for item in self.recent(which):
            item.poisoned = True

    @rule()
    def fail_the_next_batch(self) -> None:
        if not self.faults:
            self.faults.append(BatchError())

    @rule(times=st.integers(1, 4))
    def run_out_of_memory(self, times: int) -> None:
        self.faults.extend(OutOfMemoryError() for _ in range(times))

    @rule()
    def let_time_pass(self) -> None:
        self.clock.now_s += 1

    @rule(times=st.integers(1, 8))
    def step(self, times: int) -> None:
        for _ in range(times):
            self.gate.step()
            self.settle()

    @rule()
    def release(self) -> None:
        self.held = False
        self.gate.release()

    @rule()
    def hold(self) -> None:
        self.held = True
        self.gate.hold()
        self.settle()

    @rule()
    def look_at_the_queue(self) -> None:
        waiting_cost = self.waiting_cost()
        queued_cost = self.stage.queued_cost
        assert queued_cost == waiting_cost if self.held else queued_cost <= waiting_cost

    @precondition(lambda self: self.submissions >= 3)
    @rule(in_time=st.booleans())
    def close(self, in_time: bool) -> None:
        if in_time:
            self.release()
        before = self.recorder.dropped("closed")
        self.closed = True
        none_left = self.stage.close(WAIT_S if in_time else 0.0)
        assert none_left == (self.recorder.dropped("closed") == before)
        assert none_left or not in_time
        # What the runner answers at this very moment is resolved a moment later, unless the runner is held.
        self.see_all_resolved(0.0 if self.held else WAIT_S)
        self.settle()

    @invariant()
    def the_runner_is_alive_until_the_stage_is_closed(self) -> None:
        assert self.stage.alive == (not self.closed)

    @invariant()
    def no_future_resolves_twice_and_nothing_late_is_run(self) -> None:
        assert all(item.resolved <= 1 for item in self.items)
        assert self.late == []

    def teardown(self) -> None:
        try:
            self.release()
            self.see_all_resolved(WAIT_S)
            assert self.stage.queued_cost == 0
            assert self.stage.close(WAIT_S)
            assert not self.stage._thread.is_alive()
            self.check_the_story()
        finally:
            self.clock_patch.stop()

    def check_the_story(self) -> None:
        for item in self.items:
            check_tries(item)
            check_fate(item)
        assert self.stage.max_batch_cost == check_batches(self.calls, BUDGET)
        assert self.recorder.told() == [(call.size, call.cost, call.outcome) for call in self.calls]
        assert self.recorder.dropped("abandoned") == sum(item.future.cancelled() for item in self.items)
        assert self.recorder.dropped("expired") == sum(isinstance(item.failure, ItemExpiredError) for item in self.items)
        assert self.recorder.dropped("closed") == sum(isinstance(item.failure, StageClosedError) for item in self.items)

    def recent(self, which: int) -> list[Item]:
        """The item, if there is any."""
        return [self.items[-1 - which % len(self.items)]] if self.items else []

    def waiting_cost(self) -> int:
        """Of what waits in vain neither for its time nor for its caller; the runner, if not held, may have taken some."""
        return sum(item.cost for item in self.items if item.waits and item.expires_s > self.clock.now_s)

    def see_all_resolved(self, timeout_s: float) -> None:
        for item in self.items:
            with suppress(CancelledError):
                item.future.exception(timeout_s)

    def settle(self) -> None:
        if self.held:
            self.gate.settle(self.nothing_queued)

    def nothing_queued(self) -> bool:
        with self.stage._wakeup:
            return not self.stage._waiting


TestStage = StageMachine.TestCase
TestStage.settings = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "stage"))
