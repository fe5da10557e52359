"""Stage: failures that stay with their item, a device out of memory, a runner that outlives all or is seen to be dead."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from app.stage import Stage, StageClosedError
from app.stage_observer import BatchReport, DropReason, StageObserver
from tests.app.fakes import WAIT_S
from tests.app.held_stage import Held, Item, values


class OutOfMemoryError(Exception):
    """As a device may raise it."""


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held(memory_error=OutOfMemoryError)
    yield held
    held.end()


def _holding(memory: int) -> Callable[[Sequence[Item]], None]:
    def run(items: Sequence[Item]) -> None:
        if sum(cost for _, cost in items) > memory:
            raise OutOfMemoryError("too large a batch")

    return run


def test_only_the_poisoned_item_fails(held: Held) -> None:
    def fail(items: Sequence[Item]) -> None:
        if ("a", 2) in items:
            raise ValueError("poison")

    held.on_run = fail
    held.hold()
    futures = held.stage.submit_all([("a", 1), ("a", 2), ("a", 1)])
    held.free.set()
    assert values([futures[0], futures[2]]) == ["a1", "a1"]
    with pytest.raises(ValueError, match="poison"):
        futures[1].result(WAIT_S)
    assert values([held.stage.submit(("b", 1))]) == ["b1"]
    assert held.recorder.told()[1:5] == [(3, 4, "failed"), (1, 1, "ok"), (1, 2, "failed"), (1, 1, "ok")]
    assert held.stage.max_batch_cost == 4


def test_a_wrong_number_of_answers_is_an_error() -> None:
    stage = Stage[int, int](
        "odd", lambda _: [], cost_of=lambda _: 1, key_of=lambda _: None, queue_capacity=9, max_batch_cost=9
    )
    stage.start()
    with pytest.raises(RuntimeError, match="made 0 answers for 1 items"):
        stage.submit(1).result(WAIT_S)
    assert stage.alive
    assert stage.close(WAIT_S)


def test_out_of_memory_halves_the_batch_and_those_to_come(held: Held) -> None:
    held.on_run = _holding(2)
    held.hold()
    futures = held.stage.submit_all([("a", 1)] * 4 + [("b", 1)] * 4)
    held.free.set()
    assert values(futures) == ["a1"] * 4 + ["b1"] * 4
    assert held.stage.max_batch_cost == 2
    halved = [(4, 4, "out_of_memory"), (2, 2, "ok"), (2, 2, "ok")]
    assert held.recorder.told()[1:] == [*halved, (2, 2, "ok"), (2, 2, "ok")]


def test_out_of_memory_halves_until_it_fits(held: Held) -> None:
    held.on_run = _holding(1)
    held.hold()
    futures = held.stage.submit_all([("a", 1)] * 4)
    held.free.set()
    assert values(futures) == ["a1"] * 4
    assert held.stage.max_batch_cost == 1
    assert [len(batch) for batch in held.batches] == [1, 4, 2, 1, 1, 2, 1, 1]


def test_a_budget_that_no_batch_fills_is_halved_from_what_was_too_much(held: Held) -> None:
    held.stage.max_batch_cost = 1_000
    held.on_run = _holding(2)
    held.hold()
    futures = held.stage.submit_all([("a", 2), ("a", 2)])
    held.free.set()
    assert values(futures) == ["a2", "a2"]
    assert held.stage.max_batch_cost == 2


def test_a_lone_item_out_of_memory_is_tried_once_more(held: Held) -> None:
    def fail_once(_: Sequence[Item]) -> None:
        if len(held.batches) == 2:
            raise OutOfMemoryError

    held.on_run = fail_once
    held.hold()
    future = held.stage.submit(("a", 4))
    held.free.set()
    assert values([future]) == ["a4"]
    assert held.recorder.told()[1:] == [(1, 4, "out_of_memory"), (1, 4, "ok")]


def test_a_lone_item_that_never_fits_leaves_the_budget_of_batches_alone(held: Held) -> None:
    held.on_run = _holding(3)
    held.hold()
    futures = [held.stage.submit(("a", 4)) for _ in range(3)]
    held.free.set()
    for future in futures:
        with pytest.raises(OutOfMemoryError):
            future.result(WAIT_S)
    assert held.stage.max_batch_cost == 4


def test_a_lone_item_out_of_memory_twice_fails_and_harms_no_other(held: Held) -> None:
    held.on_run = _holding(3)
    held.hold()
    futures = held.stage.submit_all([("a", 4), ("b", 3)])
    held.free.set()
    with pytest.raises(OutOfMemoryError, match="too large a batch"):
        futures[0].result(WAIT_S)
    assert values(futures[1:]) == ["b3"]
    assert held.batches[1:] == [[("a", 4)], [("a", 4)], [("b", 3)]]
    assert held.stage.alive


def test_a_half_that_fails_otherwise_is_retried_one_by_one(held: Held) -> None:
    def fail(items: Sequence[Item]) -> None:
        _holding(7)(items)
        if ("a", 3) in items:
            raise ValueError("poison")

    held.on_run = fail
    held.stage.max_batch_cost = 9
    held.hold()
    futures = held.stage.submit_all([("a", 1), ("a", 3), ("a", 2), ("a", 2)])
    held.free.set()
    assert values([futures[0], *futures[2:]]) == ["a1", "a2", "a2"]
    with pytest.raises(ValueError, match="poison"):
        futures[1].result(WAIT_S)
    assert [len(batch) for batch in held.batches] == [1, 4, 2, 1, 1, 2]


def test_what_means_nothing_to_the_stage_is_a_plain_failure() -> None:
    held = Held()
    held.on_run = _holding(1)
    held.hold()
    futures = held.stage.submit_all([("a", 1), ("a", 1), ("a", 2)])
    held.free.set()
    assert values(futures[:2]) == ["a1", "a1"]
    with pytest.raises(OutOfMemoryError):
        futures[2].result(WAIT_S)
    assert [len(batch) for batch in held.batches] == [1, 3, 1, 1, 1]
    assert held.stage.max_batch_cost == 4
    assert held.stage.close(WAIT_S)


def test_a_batch_has_an_age_while_it_runs(held: Held) -> None:
    assert held.stage.batch_age_s == 0
    running = held.hold()
    age_s = held.stage.batch_age_s
    assert age_s > 0
    assert held.stage.batch_age_s > age_s
    held.free.set()
    values([running])
    assert held.stage.batch_age_s == 0


def test_a_batch_that_failed_has_no_age(held: Held) -> None:
    held.on_run = _holding(0)
    running = held.hold()
    held.free.set()
    with pytest.raises(OutOfMemoryError):
        running.result(WAIT_S)
    assert held.stage.batch_age_s == 0


def test_waiting_for_the_device_is_no_age() -> None:
    device = _Door()
    held = Held(device=device)
    held.stage.start()
    future = held.stage.submit(("a", 1))
    assert device.reached.wait(WAIT_S)
    assert held.stage.batch_age_s == 0
    device.open.set()
    assert held.running.wait(WAIT_S)
    assert held.stage.batch_age_s > 0
    held.free.set()
    assert values([future]) == ["a1"]
    assert held.stage.close(WAIT_S)


class _Door:
    """A device that another stage has until the door is opened."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self.reached.set()
        assert self.open.wait(WAIT_S)

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_runner_that_dies_leaves_nobody_waiting(held: Held) -> None:
    def die(_: Sequence[Item]) -> None:
        raise SystemExit

    held.on_run = die
    running = held.hold()
    waiting = held.stage.submit(("b", 1))
    held.free.set()
    for future in (running, waiting):
        with pytest.raises(StageClosedError, match="is gone"):
            future.result(WAIT_S)
    held.stage._thread.join(WAIT_S)
    assert not held.stage.alive
    assert held.recorder.drops == [("closed", 2)]
    with pytest.raises(StageClosedError, match="closed"):
        held.stage.submit(("a", 1))
    assert held.stage.close(WAIT_S)


def test_a_failing_observer_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(StageObserver):
        def on_batch(self, report: BatchReport) -> None:
            raise ValueError("batch")

        def on_drop(self, stage: str, reason: DropReason, count: int) -> None:
            raise ValueError("drop")

    held = Held(observer=Failing())
    first = held.hold()
    cancelled, good = held.stage.submit_all([("a", 1), ("a", 1)])
    cancelled.cancel()
    held.free.set()
    assert values([first, good]) == ["first1", "a1"]
    assert held.stage.close(WAIT_S)
    assert caplog.text.count("the observer of the test stage failed") == 3
