"""Pace: how fast places become free, measured; what a refused client is told to wait comes from it."""

import math
import time
from collections import deque

_COUNTED = 64
"""Answers that the rate is measured over."""
MAX_RETRY_AFTER_S = 60


class Pace:
    """Counts places that became free on a clock that stands still while nothing is in the service."""

    def __init__(self) -> None:
        """Know no rate yet."""
        self._busy_s = 0.0
        self._busy_since_s: float | None = None
        self._freed_s = deque[float](maxlen=_COUNTED)

    def change(self, freed: int, in_flight: int) -> None:
        """Note that places became free, and how many are taken from now on."""
        now_s = time.perf_counter()
        busy_s = self._busy_clock_s(now_s)
        self._freed_s.extend([busy_s] * freed)
        self._busy_s, self._busy_since_s = busy_s, now_s if in_flight else None

    def retry_after_s(self, places: int) -> int:
        """Whole seconds, at least 1, in which as many places become free at the rate of late."""
        if len(self._freed_s) < 2:
            return 1
        span_s = self._busy_clock_s(time.perf_counter()) - self._freed_s[0]
        expected_s = places * span_s / len(self._freed_s)
        return min(max(1, math.ceil(expected_s)), MAX_RETRY_AFTER_S)

    def _busy_clock_s(self, now_s: float) -> float:
        return self._busy_s + (now_s - self._busy_since_s if self._busy_since_s is not None else 0.0)
