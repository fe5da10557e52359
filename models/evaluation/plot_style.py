"""How the plots of a comparison look, and how they become SVG that is the same bytes every time.

Colours are those of Okabe and Ito (2008), which colour-blind eyes tell apart; marks differ too. Text stays text, so that a
plot can be searched and read aloud. Needs matplotlib, of the extra `train`.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from models.evaluation.gap_report import OURS, PLAIN

WIDTH = 7.2
"""Inches; shown 700 pixels wide, text of 8 points is some 11 pixels high."""
OURS_COLOUR, PLAIN_COLOUR = "#D55E00", "#666666"
AUDIO_COLOUR, TEXT_COLOUR, BRIDGED_COLOUR = "#D55E00", "#0072B2", "#009E73"
_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKS = ("o", "s", "^", "v", "P", "X")
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and mark of one bridge."""

    colour: str
    mark: str


def looks(kinds: Sequence[str]) -> list[Look]:
    """A look for each bridge; ours and the identity always have the same."""
    fixed = {OURS: Look(OURS_COLOUR, "D"), PLAIN: Look(PLAIN_COLOUR, "o")}
    found, others = [], 0
    for kind in kinds:
        if kind in fixed:
            found.append(fixed.pop(kind))
        else:
            found.append(Look(_COLOURS[others % len(_COLOURS)], _MARKS[(others + others // len(_MARKS)) % len(_MARKS)]))
            others += 1
    return found


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """The settings of all plots; `name` goes into the ids inside the SVG."""
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with mpl.rc_context(settings):
        yield


def new_figure(height: float) -> Figure:
    """An empty figure that no window system needs to know of."""
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    return figure


def svg(figure: Figure, name: str) -> str:
    """The figure as SVG; its ids begin with the plot's name, since several may stand in one page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=_NO_METADATA)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", file.getvalue())
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    # Trailing spaces come and go with matplotlib's versions.
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@dataclass(frozen=True, slots=True)
class Label:
    """A name beside a point, in the units of the axes."""

    x: float
    y: float
    text: str
    colour: str


def place_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Write each label as near to its point as it fits without lying on a point or another label.

    The figure must be laid out, and stay as it is from now on.
    """
    figure: Any = axes.figure
    renderer = figure.canvas.get_renderer()
    points = [axes.transData.transform((label.x, label.y)) for label in labels]
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in points]
    frame = axes.get_window_extent(renderer).frozen()
    for label, (x, y) in zip(labels, points, strict=True):
        probe = axes.text(label.x, label.y, label.text, fontsize=7)
        size = probe.get_window_extent(renderer)
        probe.remove()
        # A browser's letters may be a little wider than those measured here.
        width, height = 1.08 * size.width, size.height
        spots = [Bbox.from_bounds(x + dx - width / 2, y + dy - height / 2, width, height) for dx, dy in _offsets(width)]
        free = [spot for spot in spots if _inside(spot, frame) and not any(spot.overlaps(box) for box in taken)]
        spot = (free or spots)[0]
        taken.append(spot)
        middle = ((spot.x0 + spot.x1) / 2, (spot.y0 + spot.y1) / 2)
        far = bool(abs(middle[0] - x) > width / 2 + 10 or abs(middle[1] - y) > 1.5 * height)
        _write_label(axes, label, axes.transAxes.inverted().transform(middle), far)


def _write_label(axes: Axes, label: Label, place: Any, far: bool) -> None:
    """Write it there, in shares of the axes, since a file has other pixels; from far off, a line leads to the point."""
    line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.5, "shrinkB": 2}
    axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=place,
        textcoords="axes fraction",
        ha="center",
        va="center",
        fontsize=7,
        color=label.colour,
        arrowprops=line if far else None,
    )


def _offsets(width: float) -> list[tuple[float, float]]:
    """Where the middle of a label may lie, as seen from its point, the nearest first."""
    across = [side * (width / 2 + away) for away in (8, 14, 26, 44, 70) for side in (1, -1)]
    offsets = [(along, float(up)) for along in (0.0, *across) for up in range(-90, 91, 6)]
    return sorted(offsets, key=lambda offset: (abs(abs(offset[0]) - width / 2) + 1.5 * abs(offset[1]), offset))


def _inside(spot: Bbox, frame: Bbox) -> bool:
    return bool(spot.x0 >= frame.x0 and spot.x1 <= frame.x1 and spot.y0 >= frame.y0 and spot.y1 <= frame.y1)
