"""The progress of every stage that takes longer than a moment: a bar on a terminal, a line now and then in a log.

Both are on standard error, so that standard output holds what a command has found, and nothing else.
"""

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY_S = 60.0


class _RateColumn(ProgressColumn):
    """Steps or items a second, over the last minute or so."""

    def render(self, task: Task) -> Text:
        """Render the rate, or nothing before it is known."""
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


class _LogProgress(Progress):
    """Progress where nothing can be drawn again: a line for a task that ends, and one a minute until then."""

    def __init__(self) -> None:
        super().__init__(disable=True)
        self._last_s = time.monotonic()
        self._ended = set[TaskID]()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Note how far a task is, and say so if it is time."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: int | float = 1) -> None:
        """Note that a task is further, and say so if it is time."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        task, now_s = self._tasks[task_id], time.monotonic()
        ends = task.finished and task_id not in self._ended
        if ends:
            self._ended.add(task_id)
        elif task.finished or now_s - self._last_s < _LINE_EVERY_S:
            return
        self._last_s = now_s
        line = f"{task.description}: {task.completed:.0f}/{task.total:.0f}, {task.elapsed or 0:.0f} s"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with count, rate, elapsed time and time left; one that is not shown draws nothing, and is silent in a log."""
    console = Console(stderr=True)
    # Whether it is a terminal is asked of it, not of rich: CI sets FORCE_COLOR, which makes rich take a log for one.
    if shown and not (sys.stderr.isatty() and not console.is_dumb_terminal):
        return _LogProgress()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        # What is printed beside a bar goes above it where both are on the terminal. In a file it would be missing.
        redirect_stdout=sys.stdout.isatty(),
        speed_estimate_period=60,
        disable=not shown,
    )
