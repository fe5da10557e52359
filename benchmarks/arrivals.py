"""When the requests of an open loop arrive: planned before the run, whatever the server then does."""

import math
import random
from typing import Literal

Arrivals = Literal["poisson", "constant"]


def arrival_times_s(rate_per_s: float, seconds: float, arrivals: Arrivals, seed: int = 0) -> list[float]:
    """Start times in [0, seconds), in order.

    Poisson arrivals are independent, as those of many users are: gaps are exponential with mean 1/rate. Constant ones come
    at equal distances, the first at 0.

    Raises:
        ValueError: rate or seconds are not above 0.
    """
    if not (rate_per_s > 0 and seconds > 0):
        raise ValueError(f"{rate_per_s} requests a second for {seconds} s are none")
    if arrivals == "constant":
        # Rounded, since 0.1 s at 30 a second are 3 arrivals, although 0.1 * 30 is a little more than 3.
        return [index / rate_per_s for index in range(math.ceil(round(seconds * rate_per_s, 9)))]
    source, now, times = random.Random(seed), 0.0, list[float]()
    while (now := now + source.expovariate(rate_per_s)) < seconds:
        times.append(now)
    return times
