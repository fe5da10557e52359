"""Pace: the rate at which places become free, on a clock that stands still while there is nothing to do."""

import pytest

from app import pace
from app.pace import MAX_RETRY_AFTER_S, Pace


class _Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def _serve(measured: Pace, clock: _Clock, count: int, seconds_each: float) -> None:
    measured.change(0, count)
    for left in reversed(range(count)):
        clock.now_s += seconds_each
        measured.change(1, left)


def test_nothing_is_known_at_first(clock: _Clock) -> None:
    assert Pace().retry_after_s(64) == 1


def test_the_wait_is_places_over_rate(clock: _Clock) -> None:
    measured = Pace()
    _serve(measured, clock, 10, 0.5)
    assert measured.retry_after_s(20) == pytest.approx(9, abs=1)
    assert measured.retry_after_s(1) == 1


def test_an_idle_hour_does_not_slow_the_rate(clock: _Clock) -> None:
    measured = Pace()
    _serve(measured, clock, 10, 0.5)
    before = measured.retry_after_s(20)
    clock.now_s += 3_600
    measured.change(0, 1)
    assert measured.retry_after_s(20) == before


def test_a_standstill_slows_the_rate_up_to_a_bound(clock: _Clock) -> None:
    measured = Pace()
    _serve(measured, clock, 10, 0.5)
    measured.change(0, 1)
    clock.now_s += 10
    assert 20 < measured.retry_after_s(20) <= MAX_RETRY_AFTER_S
    clock.now_s += 3_600
    assert measured.retry_after_s(20) == MAX_RETRY_AFTER_S


def test_only_the_last_answers_count(clock: _Clock) -> None:
    measured = Pace()
    _serve(measured, clock, 64, 5.0)
    _serve(measured, clock, 64, 0.1)
    assert measured.retry_after_s(20) <= 3
