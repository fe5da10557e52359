"""Results: what was measured, row by row, and what it should be at least or at most."""

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.stats import Spread


@dataclass(frozen=True, slots=True)
class Target:
    """Bounds of a median; None: no bound."""

    low: float | None = None
    high: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"≥ {self.low:g}" if self.low is not None else f"≤ {self.high:g}"


@dataclass(slots=True)
class Row:
    """One figure, measured several times."""

    name: str
    unit: str
    target: Target | None
    values: list[float] = field(default_factory=list)

    @property
    def spread(self) -> Spread:
        """Median, lowest and highest value."""
        return Spread.of(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median is what it should be; None: nothing was asked of it."""
        return None if self.target is None else self.target.met_by(self.spread.median)


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """Latency at one load, of one repeat."""

    series: str
    load: float
    """Offered requests a second ÷ measured peak."""
    p50_ms: float
    p99_ms: float
    stages_ms: dict[str, float]


class Results:
    """All rows in the order in which they first came, the points of the chart, and what went wrong."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.points: list[LoadPoint] = []
        self.faults: Counter[str] = Counter()
        self.requests = 0

    def add(self, name: str, value: float, unit: str = "", target: Target | None = None) -> None:
        """Add a repeat to a row."""
        self.rows.setdefault(name, Row(name, unit, target)).values.append(value)

    def add_faults(self, where: str, requests: int, faults: Counter[str]) -> None:
        """Count requests, and those of them that went wrong."""
        self.requests += requests
        self.faults.update({f"{where}: {what}": number for what, number in faults.items()})

    @property
    def missed(self) -> list[Row]:
        """Rows that are not what they should be."""
        return [row for row in self.rows.values() if row.met is False]
