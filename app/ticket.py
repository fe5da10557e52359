"""Ticket: what decode threads and stages must know of the request that a piece of work belongs to."""

import asyncio
import math
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Ticket:
    """One request's claim on the engine; each is a flow of its own, whatever number of files it has."""

    expires_s: float = math.inf
    """When nobody waits for the answer any more, on the clock of `time.perf_counter`."""
    decoding: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a window of the request is decoded: one at a time, so that many files are no more than one."""
