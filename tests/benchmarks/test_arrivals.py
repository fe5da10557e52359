from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from benchmarks.arrivals import Arrivals, arrival_times_s


def test_constant_arrivals() -> None:
    assert arrival_times_s(4, 1, "constant") == [0, 0.25, 0.5, 0.75]
    assert len(arrival_times_s(30, 0.1, "constant")) == 3
    assert arrival_times_s(1, 0.5, "constant") == [0]


def test_poisson_arrivals_come_at_the_rate_and_independently() -> None:
    times = arrival_times_s(100, 200, "poisson", seed=1)
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 200
    # A Poisson count of mean 20,000 has a standard deviation of 141.
    assert len(times) == pytest.approx(20_000, abs=5 * 141)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert fmean(gaps) == pytest.approx(0.01, rel=0.05)
    assert pstdev(gaps) == pytest.approx(0.01, rel=0.05)


def test_the_same_seed_gives_the_same_plan() -> None:
    assert arrival_times_s(10, 5, "poisson", seed=3) == arrival_times_s(10, 5, "poisson", seed=3)
    assert arrival_times_s(10, 5, "poisson", seed=3) != arrival_times_s(10, 5, "poisson", seed=4)


@pytest.mark.parametrize("arrivals", ["poisson", "constant"])
@pytest.mark.parametrize(("rate_per_s", "seconds"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_loads_that_are_none(rate_per_s: float, seconds: float, arrivals: Arrivals) -> None:
    with pytest.raises(ValueError, match="are none"):
        arrival_times_s(rate_per_s, seconds, arrivals)
