"""The chart of latency against load."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.results import LoadPoint
from benchmarks.stats import Spread

mpl.use("Agg")  # A backend that needs no screen; chosen before pyplot is imported.

from matplotlib import pyplot as plt


def draw_chart(path: Path, points: Sequence[LoadPoint], title: str) -> None:
    """Draw p50 and p99 of every series over the load, medians as dots and the spread of the repeats as bars."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for series in dict.fromkeys(point.series for point in points):
        for name, style in (("p50", "o-"), ("p99", "s--")):
            loads, spreads = _line([point for point in points if point.series == series], f"{name}_ms")
            bars = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
            axes.errorbar(loads, [s.median for s in spreads], yerr=bars, fmt=style, capsize=3, label=f"{series}, {name}")
    axes.axvline(1, color="grey", linewidth=1, linestyle=":")
    axes.set(title=title, xlabel="offered load ÷ peak throughput", ylabel="latency, ms", yscale="log")
    axes.set_xlim(left=0)
    for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        ticks("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _line(points: Sequence[LoadPoint], field: str) -> tuple[list[float], list[Spread]]:
    """Points of one nominal load are repeats of each other."""
    loads = sorted({point.load for point in points})
    return loads, [Spread.of([getattr(point, field) for point in points if point.load == load]) for load in loads]
