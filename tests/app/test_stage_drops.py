"""Stage: items that are not run to their end, because they were cancelled, have expired, or the stage was closed."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError

import pytest

import app.stage
from app.stage import ItemExpiredError, StageClosedError
from tests.app.fakes import WAIT_S
from tests.app.held_stage import Clock, Held, Item, values


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.end()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(app.stage, "time", clock)
    return clock


def test_a_cancelled_item_frees_its_place_and_is_never_run(held: Held) -> None:
    held.stage.queue_capacity = 2
    held.hold()
    first, second = held.stage.submit_all([("a", 1), ("a", 1)])
    assert first.cancel()
    assert held.stage.queued_cost == 1
    third = held.stage.submit(("a", 1))
    held.free.set()
    assert values([second, third]) == ["a1", "a1"]
    assert held.batches[1:] == [[("a", 1), ("a", 1)]]
    assert held.recorder.drops == [("abandoned", 1)]


def test_all_items_cancelled_is_no_batch(held: Held) -> None:
    held.hold()
    assert all(future.cancel() for future in held.stage.submit_all([("a", 1), ("b", 1)]))
    held.free.set()
    assert values([held.stage.submit(("c", 1))]) == ["c1"]
    assert held.batches == [[("first", 1)], [("c", 1)]]
    assert held.recorder.dropped("abandoned") == 2


def test_an_item_that_runs_cannot_be_cancelled(held: Held) -> None:
    future = held.hold()
    assert not future.cancel()
    held.free.set()
    assert future.result(WAIT_S).value == "first1"


def test_an_expired_item_frees_its_place_and_is_never_run(held: Held, clock: Clock) -> None:
    held.stage.queue_capacity = 2
    held.hold()
    expiring = held.stage.submit(("a", 1), expires_s=clock.now_s + 2)
    lasting = held.stage.submit(("a", 1), expires_s=clock.now_s + 3)
    clock.now_s += 2
    later = held.stage.submit(("a", 1))
    assert isinstance(expiring.exception(0), ItemExpiredError)
    held.free.set()
    assert values([lasting, later]) == ["a1", "a1"]
    assert held.batches[1:] == [[("a", 1), ("a", 1)]]
    assert held.recorder.drops == [("expired", 1)]


def test_an_item_expires_while_a_batch_runs_but_not_when_it_is_run(held: Held, clock: Clock) -> None:
    held.stage.start()
    running = held.stage.submit(("first", 1), expires_s=clock.now_s + 1)
    assert held.running.wait(WAIT_S)
    waiting = held.stage.submit_all([("a", 1), ("b", 1)], expires_s=clock.now_s + 1)
    clock.now_s += 1
    held.free.set()
    for future in waiting:
        with pytest.raises(ItemExpiredError, match="deadline passed in the queue of the test stage"):
            future.result(WAIT_S)
    assert values([running]) == ["first1"]
    assert held.batches == [[("first", 1)]]
    held.end()
    assert held.recorder.drops == [("expired", 2)]


def test_an_item_that_comes_too_late_expires(held: Held) -> None:
    held.free.set()
    held.stage.start()
    with pytest.raises(ItemExpiredError):
        held.stage.submit(("a", 1), expires_s=time.perf_counter()).result(WAIT_S)
    assert held.batches == []


def test_a_caller_may_give_up_on_others_when_one_expires(held: Held, clock: Clock) -> None:
    held.hold()
    expiring, also_expiring = held.stage.submit_all([("a", 1), ("a", 1)], expires_s=clock.now_s + 1)
    lasting = held.stage.submit(("a", 1))
    expiring.add_done_callback(lambda _: (also_expiring.cancel(), lasting.cancel()))
    good = held.stage.submit(("b", 1))
    clock.now_s += 1
    held.free.set()
    assert values([good]) == ["b1"]
    held.end()
    assert held.batches == [[("first", 1)], [("b", 1)]]
    assert also_expiring.cancelled()
    assert lasting.cancelled()
    assert (held.recorder.dropped("expired"), held.recorder.dropped("abandoned")) == (1, 2)


def test_close_runs_what_waits(held: Held) -> None:
    held.hold()
    futures = held.stage.submit_all([("a", 1), ("b", 1)])
    held.free.set()
    assert held.stage.close(WAIT_S)
    assert values(futures) == ["a1", "b1"]
    assert held.recorder.drops == []
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
    assert held.recorder.dropped("closed") == 2
    assert held.recorder.dropped("abandoned") == 1


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


def test_an_item_cancelled_while_a_batch_is_formed_is_no_harm_when_the_stage_closes(held: Held, clock: Clock) -> None:
    held.hold()
    expiring = held.stage.submit(("a", 1), expires_s=clock.now_s + 1)
    given_up, running = held.stage.submit_all([("a", 1), ("a", 1)])
    waiting = held.stage.submit(("b", 1))
    expiring.add_done_callback(lambda _: given_up.cancel())
    clock.now_s += 1
    formed, go_on = threading.Event(), threading.Event()

    def wait(items: Sequence[Item]) -> None:
        if items != [("first", 1)]:
            formed.set()
            assert go_on.wait(WAIT_S)

    held.on_run = wait
    held.free.set()
    assert formed.wait(WAIT_S)
    closed = held.stage.close(0.0)
    go_on.set()
    assert not closed
    for future in (running, waiting):
        assert isinstance(future.exception(0), StageClosedError)
    assert given_up.cancelled()
