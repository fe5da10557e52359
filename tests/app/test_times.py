"""StageTimes: sums passes, and counts the slowest of what went together."""

from app.pending import Answer
from app.times import StageTimes


def test_passes_are_summed_by_stage() -> None:
    times = StageTimes()
    for queue_s, run_s in ((1.0, 2.0), (3.0, 4.0)):
        times.add_queue("embed", queue_s)
        times.add_run("embed", run_s)
    times.add_run("answer", 6.0)
    assert (times.queue_s, times.run_s) == ({"embed": 4}, {"embed": 6, "answer": 6})
    assert (times.total_queue_s, times.total_s) == (4, 16)


def test_of_items_together_the_slowest_counts() -> None:
    times = StageTimes()
    times.add_answer("write", [Answer("a", 1.0, 1.0), Answer("b", 0.0, 5.0), Answer("c", 3.0, 1.0)])
    assert (times.queue_s, times.run_s) == ({"write": 0}, {"write": 5})
