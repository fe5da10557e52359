"""Subject: what is measured. Service, plain handler and raw loop are processes of their own that make it alike."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.law import CostLaw

if TYPE_CHECKING:
    from models.pipeline import Pipeline

DEFAULT_TOKENS = 32
"""max_new_tokens of POST /caption without a query: what one caption costs in the write stage."""
CPU_THREADS = 1
"""Threads of one computation, in every process: they have one core."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A pipeline and its batch size."""

    law: str | None
    """A cost law for the fake pipeline; None: the artifact."""
    artifact: str | None
    """Directory; None: the embedded one."""
    device: str
    batch: int

    @classmethod
    def from_command_line(cls) -> "Subject":
        """What the parent handed over."""
        return cls(**json.loads(sys.argv[1]))

    def to_command_line(self) -> str:
        """What `from_command_line` reads."""
        return json.dumps(asdict(self))

    @property
    def queue_capacity(self) -> int:
        """Eight batches: the service's own default where a batch holds eight. One request may hold 16 files, so no less."""
        return max(16, 8 * self.batch)

    def load(self) -> "Pipeline":
        """Make the pipeline."""
        # Imported here: the client needs neither torch nor the memory that it takes.
        from benchmarks.fake import FakeLawPipeline
        from models.artifact import EMBEDDED_ARTIFACT
        from models.pipeline import Pipeline

        if self.law is not None:
            return FakeLawPipeline(CostLaw.parse(self.law), self.batch)
        return Pipeline.load(Path(self.artifact) if self.artifact else EMBEDDED_ARTIFACT, self.device, CPU_THREADS)
