"""StageTimes: where one request's time went, stage by stage; it feeds the headers, the access log and the histograms.

The parts follow each other without a gap, so that together they are the request's time: receive, decode, embed, bridge,
write, answer. What overlaps, as when a long clip is embedded while the rest of it is decoded, counts in one of them only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.pending import Answer

STAGES = ("receive", "decode", "embed", "bridge", "write", "answer")
"""In the order in which a request goes through them; the bridge's time is not in that of embed."""
QUEUES = ("decode", "embed", "write")
"""The stages that a request waits for."""


@dataclass(slots=True)
class StageTimes:
    """Seconds spent waiting for and running in each stage."""

    queue_s: dict[str, float] = field(default_factory=dict)
    run_s: dict[str, float] = field(default_factory=dict)

    def add_queue(self, stage: str, seconds: float) -> None:
        """Add seconds of waiting for a stage."""
        self.queue_s[stage] = self.queue_s.get(stage, 0.0) + seconds

    def add_run(self, stage: str, seconds: float) -> None:
        """Add seconds in a stage."""
        self.run_s[stage] = self.run_s.get(stage, 0.0) + seconds

    def add_answer(self, stage: str, answers: Sequence[Answer[Any]]) -> None:
        """Add items that went through a stage together: the slowest of them is what the request waited for."""
        slowest = max(answers, key=lambda answer: answer.queue_s + answer.run_s)
        self.add_queue(stage, slowest.queue_s)
        self.add_run(stage, slowest.run_s)

    @property
    def total_queue_s(self) -> float:
        """Seconds spent waiting, all stages together."""
        return sum(self.queue_s.values(), 0.0)

    @property
    def total_s(self) -> float:
        """Seconds spent waiting and running."""
        return self.total_queue_s + sum(self.run_s.values(), 0.0)
