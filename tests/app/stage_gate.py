"""Gate: where the runner of a stage parks, so that a test decides when it goes on and knows when it has come to rest."""

import threading
from collections.abc import Callable

from tests.app.fakes import WAIT_S
from tests.app.held_stage import Clock


class Gate:
    """A device whose door, and whatever else calls `pass_through`, holds the runner until the test lets it go."""

    def __init__(self, clock: Clock) -> None:
        self.entered_s = 0.0
        """When the runner last came in."""
        self._clock = clock
        self._changed = threading.Condition()
        self._open = False
        self._parked = False
        self._inside = False

    def __enter__(self) -> None:
        with self._changed:
            self._inside = True
        self.pass_through()
        self.entered_s = self._clock.now_s

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside = False
            self._changed.notify_all()

    def pass_through(self) -> None:
        """Park until the test lets the runner go on."""
        with self._changed:
            self._parked = not self._open
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: not self._parked, WAIT_S)

    def step(self) -> None:
        """Let the runner go on to the next place where it parks, if it is parked."""
        with self._changed:
            self._parked = False
            self._changed.notify_all()

    def release(self) -> None:
        """Let the runner go on for good."""
        with self._changed:
            self._open = True
        self.step()

    def hold(self) -> None:
        """Have the runner park from now on."""
        with self._changed:
            self._open = False

    def settle(self, idle: Callable[[], bool]) -> None:
        """Wait until the runner is parked, or is outside and has no reason to come in."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._parked or (not self._inside and idle()), WAIT_S)
