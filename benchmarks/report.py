"""What a benchmark leaves: a table for people, JSON for programs."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.results import Results, Row

_PACKAGES = ("aiohttp", "fastapi", "numpy", "torch", "uvicorn")


def environment() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "arguments": sys.argv[1:],
    }


def format_figure(value: float) -> str:
    """Three digits, or more where they are whole."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns of text: the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]

    def format_line(line: Sequence[str]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return "  ".join([line[0].ljust(widths[0]), *cells]).rstrip()

    return "\n".join([format_line(head), "  ".join("-" * width for width in widths), *map(format_line, lines)])


def format_results(results: Results) -> str:
    """The table of all rows, and a last line that says what to make of it."""
    rows = list(results.rows.values())
    table = format_table(("", "median", "lowest", "highest", "n", "unit", "target", ""), [_cells(row) for row in rows])
    with_target = [row for row in rows if row.target is not None]
    lines = [table, "", f"{results.requests} requests, {sum(results.faults.values())} of them lost, mixed up or wrong"]
    lines += [f"  {number} × {fault}" for fault, number in sorted(results.faults.items())]
    lines.append(f"{len(with_target) - len(results.missed)} of {len(with_target)} targets met")
    return "\n".join(lines)


def write_json(path: Path, results: Results, **facts: Any) -> None:
    """Write everything that was measured, every repeat of it."""
    document = {
        **facts,
        "rows": [
            {**asdict(row), **asdict(row.spread), "target": str(row.target) if row.target else None, "met": row.met}
            for row in results.rows.values()
        ],
        "points": [asdict(point) for point in results.points],
        "requests": results.requests,
        "faults": dict(results.faults),
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    spread = row.spread
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    figures = (format_figure(value) for value in (spread.median, spread.low, spread.high))
    return row.name, *figures, str(len(row.values)), row.unit, str(row.target or ""), verdict


def _revision() -> str:
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
