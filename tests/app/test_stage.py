"""Stage: batches by cost and key, failures that stay with their item, cancelling, closing, a runner that outlives all."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from app.stage import Answer, BatchReport, QueueFullError, Stage, StageClosedError
from tests.app.fakes import WAIT_S

Item = tuple[str, int]
"""Key and cost."""


class Held:
    """A stage that runs a batch when it is told to, and remembers its batches."""

    def __init__(self, **settings: Any) -> None:
        self.batches: list[list[Item]] = []
        self.reports: list[BatchReport] = []
        self.failing: Callable[[Sequence[Item]], None] = lambda _: None
        self.free = threading.Event()
        self.running = threading.Event()
        bounds = {"queue_capacity": 100, "max_batch_cost": 4, "on_batch": self.reports.append} | settings
        self.stage = Stage[Item, str]("test", self._run, cost_of=lambda item: item[1], key_of=lambda item: item[0], **bounds)

    def _run(self, items: Sequence[Item]) -> list[str]:
        self.batches.append(list(items))
        self.running.set()
        assert self.free.wait(WAIT_S)
        self.failing(items)
        return [f"{key}{cost}" for key, cost in items]

    def hold(self) -> "Future[Answer[str]]":
        """Have an item running, so that what comes next queues up."""
        self.stage.start()
        future = self.stage.submit(("first", 1))
        assert self.running.wait(WAIT_S)
        return future


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.free.set()
    held.stage.close(WAIT_S)


def _values(futures: Sequence["Future[Answer[str]]"]) -> list[str]:
    return [future.result(WAIT_S).value for future in futures]


def test_a_lone_item_runs_at_once(held: Held) -> None:
    held.free.set()
    held.stage.start()
    answer = held.stage.submit(("a", 1)).result(WAIT_S)
    assert answer.value == "a1"
    assert answer.queue_s >= 0
    assert answer.run_s >= 0


def test_what_queued_up_is_the_next_batch(held: Held) -> None:
    first = held.hold()
    futures = [held.stage.submit(("a", 1)) for _ in range(3)]
    held.free.set()
    assert _values([first, *futures]) == ["first1", "a1", "a1", "a1"]
    assert [len(batch) for batch in held.batches] == [1, 3]
    held.stage.close(WAIT_S)
    assert [(report.size, report.cost, report.failed) for report in held.reports] == [(1, 1, False), (3, 3, False)]


def test_a_batch_keeps_to_key_cost_and_order(held: Held) -> None:
    held.hold()
    items = [("a", 2), ("b", 1), ("a", 2), ("a", 1), ("b", 9), ("b", 1)]
    futures = held.stage.submit_all(items)
    held.free.set()
    assert _values(futures) == [f"{key}{cost}" for key, cost in items]
    assert held.batches[1:] == [[("a", 2), ("a", 2)], [("b", 1)], [("a", 1)], [("b", 9)], [("b", 1)]]


def test_a_full_queue_takes_all_or_none(held: Held) -> None:
    held.stage.queue_capacity = 3
    held.hold()
    held.stage.submit(("a", 2))
    with pytest.raises(QueueFullError, match="holds 2 of 3; 2 do not fit"):
        held.stage.submit_all([("a", 1), ("a", 1)])
    assert held.stage.queued_cost == 2
    held.stage.submit(("a", 1))
    assert held.stage.queued_cost == 3


def test_only_the_poisoned_item_fails(held: Held) -> None:
    def fail(items: Sequence[Item]) -> None:
        if any(key_cost == ("a", 2) for key_cost in items):
            raise ValueError("poison")

    held.failing = fail
    held.hold()
    futures = held.stage.submit_all([("a", 1), ("a", 2), ("a", 1)])
    held.free.set()
    assert _values([futures[0], futures[2]]) == ["a1", "a1"]
    with pytest.raises(ValueError, match="poison"):
        futures[1].result(WAIT_S)
    assert _values([held.stage.submit(("b", 1))]) == ["b1"]
    held.stage.close(WAIT_S)
    assert [(report.size, report.failed) for report in held.reports[1:5]] == [(3, True), (1, False), (1, True), (1, False)]


def test_a_wrong_number_of_answers_is_an_error() -> None:
    stage = Stage[int, int](
        "odd", lambda _: [], cost_of=lambda _: 1, key_of=lambda _: None, queue_capacity=9, max_batch_cost=9
    )
    stage.start()
    with pytest.raises(RuntimeError, match="made 0 answers for 1 items"):
        stage.submit(1).result(WAIT_S)
    assert stage.alive
    assert stage.close(WAIT_S)


def test_a_cancelled_item_frees_its_place_and_is_never_run(held: Held) -> None:
    held.stage.queue_capacity = 2
    held.hold()
    first, second = held.stage.submit_all([("a", 1), ("a", 1)])
    assert first.cancel()
    assert held.stage.queued_cost == 1
    third = held.stage.submit(("a", 1))
    held.free.set()
    assert _values([second, third]) == ["a1", "a1"]
    assert held.batches[1:] == [[("a", 1), ("a", 1)]]


def test_all_items_cancelled_is_no_batch(held: Held) -> None:
    held.hold()
    assert all(future.cancel() for future in held.stage.submit_all([("a", 1), ("b", 1)]))
    held.free.set()
    assert _values([held.stage.submit(("c", 1))]) == ["c1"]
    assert held.batches == [[("first", 1)], [("c", 1)]]


def test_an_item_that_runs_cannot_be_cancelled(held: Held) -> None:
    future = held.hold()
    assert not future.cancel()
    held.free.set()
    assert future.result(WAIT_S).value == "first1"


def test_close_runs_what_waits(held: Held) -> None:
    held.hold()
    futures = held.stage.submit_all([("a", 1), ("b", 1)])
    held.free.set()
    assert held.stage.close(WAIT_S)
    assert _values(futures) == ["a1", "b1"]
    assert not held.stage.alive
    with pytest.raises(StageClosedError, match="closed"):
        held.stage.submit(("a", 1))


def test_close_leaves_nobody_waiting(held: Held) -> None:
    running = held.hold()
    cancelled, waiting = held.stage.submit_all([("a", 1), ("b", 1)])
    cancelled.cancel()
    assert not held.stage.close(0.0)
    for future in (running, waiting):
        with pytest.raises(StageClosedError, match="before this item was done"):
            future.result(0)
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_a_late_result_of_a_closed_stage_is_dropped(held: Held) -> None:
    running = held.hold()
    held.stage.close(0.0)
    held.free.set()
    held.stage._thread.join(WAIT_S)
    assert isinstance(running.exception(0), StageClosedError)


def test_a_stage_that_never_started_closes(held: Held) -> None:
    future = held.stage.submit(("a", 1))
    assert not held.stage.alive
    assert not held.stage.close(0.0)
    assert isinstance(future.exception(0), StageClosedError)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_runner_that_dies_leaves_nobody_waiting(held: Held) -> None:
    def die(_: Sequence[Item]) -> None:
        raise SystemExit

    held.failing = die
    running = held.hold()
    waiting = held.stage.submit(("b", 1))
    held.free.set()
    for future in (running, waiting):
        with pytest.raises(StageClosedError, match="is gone"):
            future.result(WAIT_S)
    held.stage._thread.join(WAIT_S)
    assert not held.stage.alive
    with pytest.raises(StageClosedError, match="closed"):
        held.stage.submit(("a", 1))
    assert held.stage.close(WAIT_S)


def test_a_failing_observer_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def observe(_: BatchReport) -> None:
        raise ValueError("observer")

    held = Held(on_batch=observe)
    held.free.set()
    held.stage.start()
    assert _values([held.stage.submit(("a", 1)), held.stage.submit(("a", 1))]) == ["a1", "a1"]
    assert held.stage.close(WAIT_S)
    assert "the observer of the test stage failed" in caplog.text


def test_the_batch_is_formed_when_the_device_is_free() -> None:
    device = threading.Semaphore(0)
    held = Held(device=device)
    held.free.set()
    held.stage.start()
    first = held.stage.submit(("a", 1))
    second = held.stage.submit(("a", 1))
    device.release()
    assert _values([first, second]) == ["a1", "a1"]
    assert held.batches == [[("a", 1), ("a", 1)]]
    assert held.stage.close(WAIT_S)
