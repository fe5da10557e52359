"""StageTimes: sums passes, and counts the slowest of what went together."""

from app.stage import Answer
from app.times import StageTimes


def test_passes_are_summed_by_stage() -> None:
    times = StageTimes()
    times.add("embed", 1.0, 2.0)
    times.add("embed", 3.0, 4.0)
    times.add("write", 5.0, 6.0)
    assert (times.queue_s, times.run_s) == ({"embed": 4, "write": 5}, {"embed": 6, "write": 6})
    assert (times.total_queue_s, times.total_s) == (9, 21)


def test_of_items_together_the_slowest_counts() -> None:
    times = StageTimes()
    times.add_answers("write", [Answer("a", 1.0, 1.0), Answer("b", 0.0, 5.0), Answer("c", 3.0, 1.0)])
    assert (times.queue_s, times.run_s) == ({"write": 0}, {"write": 5})
