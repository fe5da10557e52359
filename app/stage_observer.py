"""What a stage tells of its work, for metrics: each batch, and items that were dropped."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "out_of_memory"]
DropReason = Literal["abandoned", "expired", "closed"]
"""The caller gave up; the deadline passed; the stage stopped before it was done."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One call of a stage's function."""

    stage: str
    size: int
    cost: int
    run_s: float
    outcome: Outcome


class StageObserver:
    """Hears of it on any thread, and must not block; this one ignores it."""

    def on_batch(self, report: BatchReport) -> None:
        """Hear of one call of a stage's function."""

    def on_drop(self, stage: str, reason: DropReason, count: int) -> None:
        """Hear of items that were not run to their end."""
