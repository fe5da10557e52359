"""FairQueue: equal shares for flows that wait, order within a flow, nobody starved, nothing kept of flows that are gone."""

import gc
import weakref
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from app.fair_queue import FairQueue

Item = tuple[str, int]
"""Flow and number."""


def _serve(queue: FairQueue[Item], count: int = 1) -> list[Item]:
    served = []
    for _ in range(count):
        item = next(iter(queue))
        queue.serve([item])
        served.append(item)
    return served


def _push(queue: FairQueue[Item], flow: str, numbers: Sequence[int], cost: int = 1) -> None:
    for number in numbers:
        queue.push((flow, number), flow, cost)


def test_flows_take_turns_however_much_they_brought() -> None:
    queue = FairQueue[Item]()
    _push(queue, "big", range(4))
    _push(queue, "small", range(2))
    expected = [("big", 0), ("small", 0), ("big", 1), ("small", 1), ("big", 2), ("big", 3)]
    assert list(queue) == expected
    assert _serve(queue, 6) == expected
    assert len(queue) == 0


def test_single_items_of_equal_cost_come_in_the_order_of_their_arrival() -> None:
    queue = FairQueue[Item]()
    for flow in "abcde":
        _push(queue, flow, [0], cost=3)
    assert "".join(flow for flow, _ in queue) == "abcde"


def test_cheap_items_that_keep_coming_do_not_starve_a_dear_one() -> None:
    queue = FairQueue[Item]()
    _push(queue, "dear", [0], cost=10)
    served = []
    for number in range(11):
        _push(queue, f"cheap {number}", [0])
        served += _serve(queue)
    assert ("dear", 0) in served


def test_a_late_comer_is_soon_served() -> None:
    queue = FairQueue[Item]()
    _push(queue, "big", range(100))
    _serve(queue, 50)
    _push(queue, "late", [0])
    assert ("late", 0) in _serve(queue, 2)


def test_shares_are_of_cost() -> None:
    queue = FairQueue[Item]()
    _push(queue, "dear", range(10), cost=4)
    _push(queue, "cheap", range(40), cost=1)
    served = [flow for flow, _ in _serve(queue, 25)]
    assert served.count("dear") == 5
    assert served.count("cheap") == 20


def test_who_was_away_has_saved_up_nothing() -> None:
    queue = FairQueue[Item]()
    _push(queue, "away", [0])
    _push(queue, "there", range(100))
    _serve(queue, 51)
    _push(queue, "away", range(1, 50))
    served = [flow for flow, _ in _serve(queue, 20)]
    assert abs(served.count("away") - 10) <= 1


def test_a_flow_that_trickles_in_gets_its_share_and_no_more() -> None:
    queue = FairQueue[Item]()
    _push(queue, "big", range(40))
    _push(queue, "trickle", [0])
    served = []
    for _ in range(40):
        served += _serve(queue)
        if served[-1][0] == "trickle":
            _push(queue, "trickle", [served[-1][1] + 1])
        assert abs(2 * [flow for flow, _ in served].count("trickle") - len(served)) <= 2


def test_single_items_that_keep_coming_do_not_starve_a_flow() -> None:
    queue = FairQueue[Item]()
    _push(queue, "big", range(10))
    served = []
    for number in range(40):
        _push(queue, f"single {number}", [0])
        served += _serve(queue)
    # One more waits after each turn that the flow takes, so that its n-th turn comes after about n * n / 2 others.
    assert [number for flow, number in served if flow == "big"][:5] == list(range(5))


def test_what_is_taken_out_unserved_is_gone() -> None:
    queue = FairQueue[Item]()
    _push(queue, "a", range(4), cost=2)
    _push(queue, "b", range(2), cost=3)
    assert (queue.cost, len(queue)) == (14, 6)
    assert queue.remove(lambda item: item[1] == 1) == [("a", 1), ("b", 1)]
    assert queue.remove(lambda item: item[1] == 1) == []
    assert (queue.cost, len(queue)) == (9, 4)
    assert _serve(queue, 4) == [("a", 0), ("b", 0), ("a", 2), ("a", 3)]
    assert queue.cost == 0


def test_several_are_served_out_of_turn_and_the_others_keep_theirs() -> None:
    queue = FairQueue[Item]()
    _push(queue, "a", range(3))
    _push(queue, "b", range(3))
    queue.serve([("a", 0)])  # Not one of its own: items are told apart by identity.
    assert len(queue) == 6
    queue.serve([item for item in queue if item[0] == "a"])
    _push(queue, "c", range(2))
    assert [flow for flow, _ in queue].index("c") >= 2
    assert [item for item in queue if item[0] == "b"] == [("b", 0), ("b", 1), ("b", 2)]


def test_a_flow_that_was_served_is_forgotten() -> None:
    class Flow:
        pass

    queue = FairQueue[Item]()
    flows = []
    for number in range(10):
        flow = Flow()
        flows.append(weakref.ref(flow))
        queue.push(("single", number), flow, 1)
        del flow
        _serve(queue)
    gc.collect()
    assert sum(flow() is not None for flow in flows) <= 1


def test_an_item_that_is_given_up_while_others_are_taken_out_is_taken_out_whole_or_not_at_all() -> None:
    queue = FairQueue[str]()
    queue.push("a", "flow", 2)
    queue.push("b", "flow", 3)
    # Another thread gives up b between two looks at it.
    given_up = {"a": iter([True, True]), "b": iter([False, True])}
    assert queue.remove(lambda item: next(given_up[item])) == ["a"]
    assert list(queue) == ["b"]
    assert queue.cost == 3
    assert queue.remove(lambda item: next(given_up[item])) == ["b"]
    assert queue.cost == len(queue) == 0


@settings(deadline=None, database=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=40), st.integers(1, 6))
def test_flows_that_wait_together_differ_by_no_more_than_two_items(pushes: list[tuple[str, int]], at_once: int) -> None:
    queue = FairQueue[tuple[str, int, int]]()
    left = dict.fromkeys("abc", 0)
    for number, (flow, cost) in enumerate(pushes):
        queue.push((flow, number, cost), flow, cost)
        left[flow] += 1
    served = dict.fromkeys("abc", 0)
    last = dict.fromkeys("abc", -1)
    while queue:
        batch = [item for item, _ in zip(queue, range(at_once), strict=False)]
        queue.serve(batch)
        for flow, number, cost in batch:
            assert number > last[flow]
            last[flow] = number
            left[flow] -= 1
            served[flow] += cost
            waiting = [served[flow] for flow in "abc" if left[flow]]
            assert not waiting or max(waiting) - min(waiting) <= 10
    assert queue.cost == 0
