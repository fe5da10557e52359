"""StageTimes: where one request's time went, stage by stage; it feeds the headers, the access log and the histograms."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.stage import Answer


@dataclass(slots=True)
class StageTimes:
    """Seconds spent waiting for and running in each stage: decode, embed, write."""

    queue_s: dict[str, float] = field(default_factory=dict)
    run_s: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, queue_s: float, run_s: float) -> None:
        """Add one pass through a stage."""
        self.queue_s[stage] = self.queue_s.get(stage, 0.0) + queue_s
        self.run_s[stage] = self.run_s.get(stage, 0.0) + run_s

    def add_answers(self, stage: str, answers: Sequence[Answer[Any]]) -> None:
        """Add items that went through a stage together: the slowest of them is what the request waited for."""
        slowest = max(answers, key=lambda answer: answer.queue_s + answer.run_s)
        self.add(stage, slowest.queue_s, slowest.run_s)

    @property
    def total_queue_s(self) -> float:
        """Seconds spent waiting, all stages together."""
        return sum(self.queue_s.values(), 0.0)

    @property
    def total_s(self) -> float:
        """Seconds spent waiting and running."""
        return self.total_queue_s + sum(self.run_s.values(), 0.0)
