"""Turns: one device, several stages; whoever asked first goes first.

A plain lock would let a busy stage take the device again before the other, which waits longer, has woken up. With turns, a
batch of embeddings goes between two batches of captions, so that POST /bridge is never stuck behind a queue of writing.
"""

import threading
from types import TracebackType


class Turns:
    """A context manager that one thread at a time is inside of, in the order of asking."""

    def __init__(self) -> None:
        """Nobody is inside."""
        self._changed = threading.Condition()
        self._next_ticket = 0
        self._now = 0

    def __enter__(self) -> None:
        """Wait for the caller's turn."""
        with self._changed:
            ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
            self._changed.wait_for(lambda: ticket == self._now)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the next one in."""
        with self._changed:
            self._now += 1
            self._changed.notify_all()
