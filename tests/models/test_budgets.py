"""What fits into a room of bytes, and how large batches are where nobody planned."""

import pytest

from models.budgets import Budgets, Cost, WritingCost


@pytest.mark.parametrize(("room", "items"), [(0, 0), (9, 0), (10, 0), (12, 0), (13, 1), (15, 1), (16, 2), (40, 10)])
def test_items_fit_beside_what_any_batch_takes(room: int, items: int) -> None:
    assert Cost(fixed=10, each=3).fits(room) == items


def test_a_caption_takes_its_beams_or_its_samples_whichever_are_more() -> None:
    writing = WritingCost(num_beams=4, sequence=Cost(7, 100), token=10)
    assert writing.caption(1, 5) == Cost(7, 4 * 150)
    assert writing.caption(5, 5) == Cost(7, 4 * 150)
    assert writing.caption(6, 5) == Cost(7, 5 * 150)
    assert writing.caption(1, 6) == Cost(7, 4 * 160)


def test_longer_captions_and_more_candidates_leave_room_for_fewer() -> None:
    writing = WritingCost(num_beams=2, sequence=Cost(0, 100), token=10)
    budgets = Budgets(captions=50, room=20_000, writing=writing)
    assert budgets.captions_at_once(1, 1) == 50, "the ceiling"
    assert budgets.captions_at_once(1, 40) == 20
    assert budgets.captions_at_once(9, 40) == 5
    assert budgets.captions_at_once(9, 100_000) == 1, "one is always tried"


def test_without_a_plan_the_number_is_what_it_always_was() -> None:
    budgets = Budgets()
    assert (budgets.windows, budgets.tokens) == (8, 1_024)
    assert budgets.captions_at_once(8, 512) == 64
