"""Percentiles, and the spread of repeated measurements."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` of the values do not exceed.

    It is always a value that was measured; nothing is interpolated.

    Raises:
        ValueError: there are no values, or `percent` is not in (0, 100].
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile is above 0 and at most 100, not {percent}")
    # 29 % of 100 values are 29 of them, although 0.29 * 100 is a little more than 29.
    return ordered[math.ceil(round(percent * len(ordered) / 100, 9)) - 1]


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two in the middle.

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no median")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True, slots=True)
class Spread:
    """What repeats of one measurement gave."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum up repeats.

        Raises:
            ValueError: there are none.
        """
        return cls(median(values), min(values), max(values))
