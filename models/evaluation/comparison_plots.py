"""The plots of a comparison, each as SVG: the way of audio to text, paired cosines, and the gap against retrieval.

"Collective migration" is the paper's word for the first (Nam et al. 2025, arXiv 2510.11330). Needs matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor
from torch.nn import functional

from models.evaluation.gap_report import CRITERIA, OURS, ComparedBridge, GapReport, Side
from models.evaluation.plot_style import (
    AUDIO_COLOUR,
    BRIDGED_COLOUR,
    PLAIN_COLOUR,
    TEXT_COLOUR,
    Label,
    Look,
    drawing,
    looks,
    new_figure,
    place_labels,
    svg,
)

LINES = 80
"""Of migration, in one panel."""
_POINTS, _POINTS_IN_SMALL = 400, 160
_COLUMNS = 3
_TITLES: dict[Side, str] = {"as_is": "as is", "centred": "means removed"}


@dataclass(frozen=True, slots=True)
class BridgedScenes:
    """Held-out scenes behind one bridge, under its first seed."""

    name: str
    kind: str
    own_space: bool
    bridged: Float[Tensor, "pairs dim"]
    text: Float[Tensor, "pairs dim"]
    """The scenes' texts where that bridge brings audio to."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The two directions in which texts and audio together vary most."""

    mean: Float[Tensor, " dim"]
    directions: Float[Tensor, "dim two"]

    @classmethod
    def fit(cls, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> "Plane":
        """Principal components; each sign is chosen, since the mathematics leaves it open."""
        rows = functional.normalize(torch.cat([text, audio]).double(), dim=1)
        mean = rows.mean(dim=0)
        directions = torch.linalg.eigh((rows - mean).T @ (rows - mean)).eigenvectors[:, -2:].flip(1)
        largest = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True))
        return cls(mean, directions * largest.sign())

    def __call__(self, embeddings: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows two"]:
        """Where unit embeddings lie in the plane."""
        return (functional.normalize(embeddings.double(), dim=1) - self.mean) @ self.directions


def migration(audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], ours: BridgedScenes, name: str) -> str:
    """Audio, text and bridged audio in one plane, and lines from audio to where the bridge brings it."""
    with drawing(name):
        figure = new_figure(4.2)
        axes = figure.subplots()
        _draw_migration(axes, Plane.fit(audio, text), audio, ours, _POINTS)
        axes.set(xlabel="first direction", ylabel="second direction")
        _key(axes)
        return svg(figure, name)


def migrations(
    audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], bridges: Sequence[BridgedScenes], name: str
) -> str:
    """The same for several bridges, in small panels with the same axes."""
    with drawing(name):
        rows = -(-len(bridges) // _COLUMNS)
        figure = new_figure(0.5 + 2.0 * rows)
        panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        plane = Plane.fit(audio, text)
        for axes, bridge in zip(panels.flat, bridges, strict=False):
            _draw_migration(axes, plane, audio, bridge, _POINTS_IN_SMALL)
            axes.set_title(bridge.name)
        _hide_rest(list(panels.flat), len(bridges))
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3, labelcolor="markerfacecolor")
        return svg(figure, name)


def _draw_migration(axes: Axes, plane: Plane, audio: Float[Tensor, "pairs dim"], bridge: BridgedScenes, points: int) -> None:
    some, few = _spread_rows(len(audio), points), _spread_rows(len(audio), LINES)
    start, end = plane(audio), plane(bridge.bridged)
    x, y = (torch.stack([start[few, side], end[few, side]]).numpy() for side in (0, 1))
    axes.plot(x, y, color="#999999", linewidth=0.5, alpha=0.6, zorder=1)
    for label, rows, colour, mark in (
        ("audio", start[some], AUDIO_COLOUR, "^"),
        ("text", plane(bridge.text)[some], TEXT_COLOUR, "o"),
        ("bridged audio", end[some], BRIDGED_COLOUR, "s"),
    ):
        style: Any = {"markersize": 2.5, "markeredgewidth": 0, "alpha": 0.6, "markerfacecolor": colour}
        axes.plot(*rows.T.numpy(), mark, label=label, zorder=2, **style)


def _key(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, labelcolor="markerfacecolor", markerscale=2)


def _spread_rows(count: int, wanted: int) -> Int[Tensor, " rows"]:
    """So many rows, or all, at even distances."""
    return torch.linspace(0, count - 1, min(count, wanted), dtype=torch.float64).round().long()


def _hide_rest(panels: Sequence[Axes], used: int) -> None:
    """Hide the panels that are left over; the ones above them then are the lowest, and have the numbers."""
    for axes in panels[used:]:
        axes.set_visible(False)
    for axes in panels[max(0, used - _COLUMNS) : used]:
        axes.tick_params(labelbottom=True)


def cosine_histograms(
    audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], bridges: Sequence[BridgedScenes], name: str
) -> str:
    """How near each scene comes to its own caption behind every bridge, and without one."""
    raw = functional.cosine_similarity(audio, text)
    paired = [functional.cosine_similarity(bridge.bridged, bridge.text) for bridge in bridges]
    low, high = float(torch.stack([raw, *paired]).min()), float(torch.stack([raw, *paired]).max())
    with drawing(name):
        rows = -(-len(bridges) // _COLUMNS)
        figure = new_figure(0.4 + 1.35 * rows)
        panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        bins = torch.linspace(low, high, 41).numpy()
        for axes, bridge, cosines, look in zip(panels.flat, bridges, paired, _looks(bridges), strict=False):
            axes.hist(raw.numpy(), bins, color=PLAIN_COLOUR, histtype="step", linewidth=0.8)
            axes.hist(cosines.numpy(), bins, color=look.colour, alpha=0.65)
            axes.axvline(float(cosines.mean()), color=look.colour, linewidth=1)
            axes.set_title(f"{_marked(bridge)}: mean {float(cosines.mean()):.3f}", color=look.colour)
        _hide_rest(list(panels.flat), len(bridges))
        figure.supxlabel("cosine of a scene and its caption; grey outline: no bridge", fontsize=8)
        figure.supylabel("scenes", fontsize=8)
        return svg(figure, name)


def _looks(bridges: Sequence[BridgedScenes] | Sequence[ComparedBridge]) -> list[Look]:
    return looks([bridge.kind for bridge in bridges])


def _marked(bridge: BridgedScenes) -> str:
    return f"{bridge.name} †" if bridge.own_space else bridge.name


def gap_against_retrieval(report: GapReport, name: str) -> str:
    """What is left of the gap against what retrieval finds; the best place is at the upper left."""
    with drawing(name):
        figure = new_figure(6.6)
        panels = figure.subplots(2, 2)
        sides: tuple[Side, ...] = ("as_is", "centred")
        for row, side in zip(panels, sides, strict=True):
            for axes, criterion in zip(row, ("centroid_distance", "frechet_distance"), strict=True):
                axes.set_title(_TITLES[side])
                _draw_gap(axes, report, side, criterion)
        # Where a label is free depends on the final size of all panels.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes in panels.flat:
            place_labels(axes, _gap_labels(axes))
        return svg(figure, name)


def _draw_gap(axes: Axes, report: GapReport, side: Side, criterion: str) -> None:
    retrieval = "audio_to_text_r_at_10"
    values = []
    for bridge, look in zip(report.bridges, _looks(report.bridges), strict=True):
        if side == "as_is" and bridge.own_space:
            continue
        gap, found = getattr(getattr(bridge, side), criterion), getattr(getattr(bridge, side), retrieval)
        size = 6 if bridge.kind == OURS else 4
        style: Any = {"color": look.colour, "fmt": look.mark, "markersize": size, "elinewidth": 0.8, "label": bridge.name}
        axes.errorbar(gap.mean, 100 * found.mean, xerr=gap.sd, yerr=100 * found.sd, **style)
        values.append((gap.mean, gap.sd))
    means = [mean for mean, _ in values]
    if means and min(means) > 0 and max(means) > 10 * min(means) and all(mean > sd for mean, sd in values):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.22, 0.12)
    axes.set(xlabel=CRITERIA[criterion].title, ylabel=CRITERIA[retrieval].title)


def _gap_labels(axes: Axes) -> list[Label]:
    """The names of what was drawn, with their places and colours."""
    labels = []
    for container in axes.containers:
        line = container[0]
        (x,), (y,) = line.get_data()
        labels.append(Label(float(x), float(y), str(container.get_label()), line.get_color()))
    return labels
