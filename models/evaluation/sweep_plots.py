"""The plot of a sweep: one small panel a criterion, the setting's values along all of them. Needs matplotlib."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from models.evaluation.gap_report import CRITERIA
from models.evaluation.plot_style import Look, drawing, looks, new_figure, svg
from models.evaluation.sweep_recipe import Value, numbers, value_word
from models.evaluation.sweeps import SHOWN, SweepLine, SweepReport, shown_title

_COLUMNS = 3


def sweep_plot(report: SweepReport, name: str) -> str:
    """All criteria over the values; bands are a standard deviation wide on either side."""
    values = tuple(point.value for point in report.lines[0].points)
    places = numbers(values)
    kinds = [line.points[0].measured.kind for line in report.lines]
    with drawing(name):
        rows = -(-(len(SHOWN) + 1) // _COLUMNS)
        figure = new_figure(0.3 + 1.75 * rows)
        panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
        for axes, (side, criterion) in zip(panels, SHOWN, strict=False):
            shown = CRITERIA[criterion]
            for line, look in zip(report.lines, looks(kinds), strict=True):
                x = places or [float(index) for index in range(len(values))]
                spreads = [point.spread(side, criterion) for point in line.points]
                means = [shown.factor * spread.mean for spread in spreads]
                deviations = [shown.factor * spread.sd for spread in spreads]
                if places is None:
                    # Nothing lies between two words, so no line does.
                    style: Any = {"color": look.colour, "fmt": look.mark, "markersize": 4, "elinewidth": 0.8, "capsize": 2}
                    axes.errorbar(x, means, yerr=deviations, **style)
                else:
                    _draw_line(axes, x, means, deviations, look)
                _mark_own(axes, x, values, line, look)
            axes.set_title(shown_title((side, criterion)))
            _set_axis(axes, values, places, report.logarithmic)
        _write_key(panels[len(SHOWN)], report, looks(kinds))
        for axes in panels[len(SHOWN) + 1 :]:
            axes.set_visible(False)
        figure.supxlabel(report.setting, fontsize=8)
        return svg(figure, name)


def _draw_line(axes: Axes, x: list[float], means: list[float], deviations: list[float], look: Look) -> None:
    # In the order of the axis, whatever that of the recipe is.
    points = sorted(zip(x, means, deviations, strict=True))
    x, means = [point[0] for point in points], [point[1] for point in points]
    low, high = ([mean + sign * sd for _, mean, sd in points] for sign in (-1, 1))
    axes.fill_between(x, low, high, color=look.colour, alpha=0.2, linewidth=0)
    axes.plot(x, means, look.mark, linestyle="-", color=look.colour, linewidth=1, markersize=3)


def _mark_own(axes: Axes, x: list[float], values: tuple[Value, ...], line: SweepLine, look: Look) -> None:
    """A dotted line where the recipe of the bridge stands."""
    for place, value in zip(x, values, strict=True):
        if value == line.own_value:
            axes.axvline(place, color=look.colour, linewidth=0.8, linestyle=":")


def _set_axis(axes: Axes, values: tuple[Value, ...], places: list[float] | None, logarithmic: bool) -> None:
    if places is None:
        axes.set_xticks(range(len(values)), [value_word(value) for value in values])
        axes.margins(x=0.25)
    elif logarithmic:
        axes.set_xscale("log")
        axes.set_xticks(places, [value_word(value) for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())


def _write_key(axes: Axes, report: SweepReport, marks: list[Look]) -> None:
    """The bridges' names in their colours, in the panel that is left over."""
    axes.set_axis_off()
    lines = [(line.bridge, look.colour) for line, look in zip(report.lines, marks, strict=True)]
    lines.append(("band or bar: ± sd over seeds", "#333333"))
    if any(point.value == line.own_value for line in report.lines for point in line.points):
        lines.append(("dotted: the recipe's value", "#333333"))
    for number, (text, colour) in enumerate(lines):
        axes.text(0, 0.9 - 0.14 * number, text, color=colour, transform=axes.transAxes, va="top")
