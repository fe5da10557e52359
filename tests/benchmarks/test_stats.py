import random

import pytest

from benchmarks.results import Results, Target
from benchmarks.stats import Spread, median, percentile


def test_percentiles_are_values_that_were_measured() -> None:
    values = list(range(1, 101))
    random.Random(0).shuffle(values)
    assert [percentile(values, percent) for percent in (1, 29, 50, 99, 99.5, 100)] == [1, 29, 50, 99, 100, 100]


def test_percentiles_of_a_few_values() -> None:
    assert percentile([7.0], 1) == percentile([7.0], 99) == 7
    assert percentile([1, 2, 3, 4], 50) == 2
    assert percentile([1, 2, 3, 4], 51) == 3
    assert percentile([1, 2, 3, 4], 99) == 4


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 101)])
def test_percentiles_that_do_not_exist(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_medians() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 3, 2]) == 2.5
    with pytest.raises(ValueError, match="no median"):
        median([])


def test_a_spread() -> None:
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0)


def test_targets_have_one_bound_or_two() -> None:
    assert Target(low=0.95).met_by(0.95)
    assert not Target(low=0.95).met_by(0.949)
    assert Target(high=0).met_by(0)
    assert not Target(high=0).met_by(1)
    assert [Target(0.95, 1.05).met_by(value) for value in (0.9, 1, 1.1)] == [False, True, False]
    assert [str(target) for target in (Target(low=0.95), Target(high=3), Target(0.95, 1.05))] == [
        "≥ 0.95",
        "≤ 3",
        "0.95 to 1.05",
    ]


def test_the_median_of_a_row_meets_the_target() -> None:
    results = Results()
    for value in (1.0, 9.0, 2.0):
        results.add("met", value, "ms", Target(high=2))
        results.add("missed", value, "ms", Target(high=1))
        results.add("told", value)
    assert [row.name for row in results.missed] == ["missed"]
    assert results.rows["told"].met is None
