"""Stage: batches by cost, key and flow; fairness; waiting for more, or for the device; places in the queue."""

import threading
from collections.abc import Iterator, Sequence

import pytest

import app.stage
from app.stage import QueueFullError
from tests.app.fakes import WAIT_S
from tests.app.held_stage import Clock, Held, Item, values


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.end()


@pytest.fixture
def equals() -> Iterator[Held]:
    """Its items cost 1 and may share a batch: name and number."""
    held = Held(cost_of=lambda _: 1, key_of=lambda _: None, queue_capacity=200)
    yield held
    held.end()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(app.stage, "time", clock)
    return clock


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
    assert values([first, *futures]) == ["first1", "a1", "a1", "a1"]
    assert [len(batch) for batch in held.batches] == [1, 3]
    assert held.recorder.told() == [(1, 1, "ok"), (3, 3, "ok")]
    assert {report.stage for report in held.recorder.reports} == {"test"}


def test_a_batch_keeps_to_key_cost_and_order(held: Held) -> None:
    held.hold()
    items = [("a", 2), ("b", 1), ("a", 2), ("a", 1), ("b", 9), ("b", 1)]
    futures = held.stage.submit_all(items)
    held.free.set()
    assert values(futures) == [f"{key}{cost}" for key, cost in items]
    assert held.batches[1:] == [[("a", 2), ("a", 2)], [("b", 1)], [("a", 1)], [("b", 9)], [("b", 1)]]


def test_single_items_are_in_the_batch_after_they_came_however_much_waits(equals: Held) -> None:
    singles: list[Item] = [("single", number) for number in range(3)]
    equals.hold()
    big = equals.stage.submit_all([("big", number) for number in range(100)], flow="big")
    early = [equals.stage.submit(item) for item in singles]
    late = []

    def come_late(_: Sequence[Item]) -> None:
        if len(equals.batches) == 10:
            late.extend(equals.stage.submit(item) for item in singles)

    equals.on_run = come_late
    equals.free.set()
    values([*big, *early])
    values(late)
    assert set(singles) <= set(equals.batches[1])
    assert set(singles) <= set(equals.batches[10])
    assert [number for batch in equals.batches for name, number in batch if name == "big"] == list(range(100))


def test_a_flow_that_trickles_in_gets_no_more_than_its_share(equals: Held) -> None:
    def trickle_on(items: Sequence[Item]) -> None:
        name, number = items[0]
        if name == "trickle" and number < 30:
            equals.stage.submit(("trickle", number + 1), flow="trickle")

    equals.stage.max_batch_cost = 1
    equals.on_run = trickle_on
    equals.hold()
    big = equals.stage.submit_all([("big", number) for number in range(40)], flow="big")
    equals.stage.submit(("trickle", 0), flow="trickle")
    equals.free.set()
    values(big)
    names = [batch[0][0] for batch in equals.batches[1:]]
    for served in range(2, 40):
        assert abs(names[:served].count("trickle") - served / 2) <= 1


def test_single_items_that_keep_coming_do_not_starve_a_flow(equals: Held) -> None:
    def come_on(items: Sequence[Item]) -> None:
        if len(equals.batches) < 100:
            equals.stage.submit_all([("single", len(equals.batches))])

    equals.stage.max_batch_cost = 1
    equals.on_run = come_on
    equals.hold()
    big = equals.stage.submit_all([("big", number) for number in range(10)], flow="big")
    equals.free.set()
    values(big)
    names = [batch[0][0] for batch in equals.batches]
    assert names[:50].count("big") >= 5


def test_a_stage_may_wait_for_more_until_the_budget_is_full() -> None:
    held = Held(max_wait_s=10 * WAIT_S)
    held.free.set()
    held.stage.start()
    first = held.stage.submit_all([("a", 1), ("a", 1)])
    second = held.stage.submit(("a", 2))
    assert values([*first, second]) == ["a1", "a1", "a2"]
    assert [sorted(batch) for batch in held.batches] == [[("a", 1), ("a", 1), ("a", 2)]]
    assert held.stage.close(WAIT_S)


def test_closing_ends_the_wait_for_more() -> None:
    held = Held(max_wait_s=10 * WAIT_S)
    held.free.set()
    held.stage.start()
    future = held.stage.submit(("a", 1))
    assert held.stage.close(WAIT_S)
    assert values([future]) == ["a1"]


def test_the_wait_for_more_ends_by_itself() -> None:
    held = Held(max_wait_s=0.05)
    held.free.set()
    held.stage.start()
    assert held.stage.submit(("a", 1)).result(WAIT_S).queue_s > 0.04
    assert held.stage.close(WAIT_S)


def test_the_wait_for_more_counts_from_the_first_item(clock: Clock) -> None:
    held = Held(max_wait_s=10 * WAIT_S)
    held.free.set()
    first = held.stage.submit(("a", 1))
    clock.now_s += 10 * WAIT_S
    second = held.stage.submit(("a", 1))
    held.stage.start()
    assert values([first, second]) == ["a1", "a1"]
    assert held.batches == [[("a", 1), ("a", 1)]]
    assert first.result().queue_s == 10 * WAIT_S
    assert second.result().queue_s == 0
    assert held.stage.close(WAIT_S)


def test_a_full_queue_takes_all_or_none(held: Held) -> None:
    held.stage.queue_capacity = 3
    held.hold()
    held.stage.submit(("a", 2))
    with pytest.raises(QueueFullError, match="holds 2 of 3; 2 do not fit"):
        held.stage.submit_all([("a", 1), ("a", 1)])
    assert held.stage.queued_cost == 2
    held.stage.submit(("a", 1))
    assert held.stage.queued_cost == 3


def test_the_batch_is_formed_when_the_device_is_free() -> None:
    device = threading.Semaphore(0)
    held = Held(device=device)
    held.free.set()
    held.stage.start()
    first = held.stage.submit(("a", 1))
    second = held.stage.submit(("a", 1))
    device.release()
    assert values([first, second]) == ["a1", "a1"]
    assert held.batches == [[("a", 1), ("a", 1)]]
    assert held.stage.close(WAIT_S)
