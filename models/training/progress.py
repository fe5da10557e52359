"""The progress bar of every stage that takes longer than a moment."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    """Steps or items a second, over the last minute or so."""

    def render(self, task: Task) -> Text:
        """Render the rate, or nothing before it is known."""
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with count, rate, elapsed time and time left; one that is not shown draws nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        speed_estimate_period=60,
        disable=not shown,
    )
