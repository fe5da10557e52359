"""Sweeps: what one setting does to a bridge, measured on the validation split, always: settings are chosen by it.

Reads embeddings/ and bridges/. A bridge with another setting is trained under each seed and kept in a folder of its own
(bridges/diffusion-link+loss.topology_weight=10/SEED); with the value that its recipe has anyway it is the bridge itself.
How to walk through a diffusion is settled after the training, so for such settings the trained bridge walks otherwise.
"""

from collections.abc import Sequence
from typing import Literal

from models.bridge.interface import Bridge
from models.errors import TrainingError
from models.evaluation.compare_gap import measure_bridge
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.gap import Spread
from models.evaluation.gap_report import CRITERIA, ComparedBridge, Side
from models.evaluation.settings import Figures
from models.evaluation.sweep_recipe import SweepRecipe, Value, of_sampling, setting_of, value_word, varied
from models.evaluation.text_table import TextTable
from models.training.bridge_recipe import BridgeRecipe
from models.training.train_bridge import begin_bridge

SHOWN: tuple[tuple[Side, str], ...] = (
    ("as_is", "paired_cosine"),
    ("centred", "cosine_difference"),
    ("as_is", "centroid_distance"),
    ("as_is", "frechet_distance"),
    ("as_is", "neighbourhood_overlap"),
    ("as_is", "audio_to_text_r_at_10"),
    ("as_is", "text_to_audio_r_at_10"),
)
"""The criteria of a sweep, in the order in which they are shown; report.json holds all the others too."""


def shown_title(shown: tuple[Side, str]) -> str:
    """How a criterion of `SHOWN` is called."""
    side, name = shown
    return CRITERIA[name].title + (", means removed" if side == "centred" else "")


class SweepPoint(Figures):
    """The bridge with one value of the setting."""

    value: Value
    measured: ComparedBridge

    def spread(self, side: Side, name: str) -> Spread:
        """One criterion."""
        found: Spread = getattr(getattr(self.measured, side), name)
        return found


class SweepLine(Figures):
    """One bridge under all values."""

    bridge: str
    own_value: Value | None
    """What its recipe has; nothing where other settings are not the recipe's either."""
    points: tuple[SweepPoint, ...]


class SweepReport(Figures):
    """One sweep."""

    title: str
    setting: str
    fixed: dict[str, Value]
    logarithmic: bool
    split: Literal["validation"] = "validation"
    pairs: int
    seeds: tuple[int, ...]
    lines: tuple[SweepLine, ...]


def measure_sweep(sweep: SweepRecipe, recipe: ComparisonRecipe, maker: BridgeMaker) -> SweepReport:
    """Make, or find, the bridges of a sweep, and measure each on the validation split.

    Raises:
        TrainingError: a kept bridge was made by other settings, or one cannot be measured.
    """
    seeds = recipe.seeds[: sweep.seeds]
    lines = tuple(_line(name, recipe.bridges[name], sweep, seeds, maker) for name in sweep.bridges)
    return SweepReport(
        title=sweep.title,
        setting=sweep.setting,
        fixed=sweep.fixed,
        logarithmic=sweep.logarithmic,
        pairs=len(maker.validation.audio),
        seeds=seeds,
        lines=lines,
    )


def _line(name: str, recipe: BridgeRecipe, sweep: SweepRecipe, seeds: Sequence[int], maker: BridgeMaker) -> SweepLine:
    held_out = maker.validation.first(len(maker.validation.audio))
    points = []
    for value in sweep.values:
        bridges = _bridges(name, recipe, sweep, value, seeds, maker)
        try:
            measured = measure_bridge(name, bridges, seeds, held_out, maker.device)
        except ValueError as error:
            label = f"{name} with {sweep.setting} = {value_word(value)}"
            raise TrainingError(f"the bridge {label} cannot be measured: {error}") from error
        points.append(SweepPoint(value=value, measured=measured))
    own_value = None if sweep.fixed else setting_of(recipe, sweep.setting)
    return SweepLine(bridge=name, own_value=own_value, points=tuple(points))


def _bridges(
    name: str, recipe: BridgeRecipe, sweep: SweepRecipe, value: Value, seeds: Sequence[int], maker: BridgeMaker
) -> list[Bridge]:
    changed = varied(recipe, {**sweep.fixed, sweep.setting: value})
    if changed == recipe or of_sampling(sweep.setting):
        trained = maker.bridges(name, recipe, seeds)
        return trained if changed == recipe else [_walking_otherwise(bridge, changed, maker) for bridge in trained]
    return maker.bridges(f"{name}+{sweep.setting}={value_word(value)}", changed, seeds)


def _walking_otherwise(trained: Bridge, recipe: BridgeRecipe, maker: BridgeMaker) -> Bridge:
    bridge = begin_bridge(recipe, maker.pairs.part(recipe.pairs_share))
    bridge.load_state_dict(trained.state_dict())
    return bridge.to(maker.device).eval().requires_grad_(False)


def sweep_title(report: SweepReport) -> str:
    """The sweep's own title, what is fixed to other values than the recipe's, how many seeds, and which scenes."""
    fixed = ", ".join(f"`{setting}` = {value_word(value)}" for setting, value in report.fixed.items())
    seeds = f"{len(report.seeds)} seeds" if len(report.seeds) > 1 else "one seed"
    scenes = "the first scenes, the same under every seed" if report.setting == "pairs_share" else ""
    return "; ".join(filter(None, (report.title, fixed, seeds, scenes)))


def sweep_table(report: SweepReport) -> TextTable:
    """The figures of a sweep as a table; the best of each bridge is bold, and the value of its recipe is marked."""
    rows = [_row(line, point) for line in report.lines for point in line.points]
    columns = ("bridge", f"`{report.setting}`", *map(shown_title, SHOWN))
    return TextTable(sweep_title(report), columns, tuple(rows))


def _row(line: SweepLine, point: SweepPoint) -> tuple[str, ...]:
    def cell(side: Side, name: str) -> str:
        criterion, spread = CRITERIA[name], point.spread(side, name)
        text = criterion.shown(spread.mean)
        if point.measured.runs > 1:
            text += f" ± {criterion.shown(spread.sd)}"
        rivals = [rival.spread(side, name).mean for rival in line.points]
        return f"**{text}**" if criterion.place(spread.mean, rivals) == 1 else text

    own = " (recipe)" if point.value == line.own_value else ""
    return (line.bridge, f"{value_word(point.value)}{own}", *(cell(side, name) for side, name in SHOWN))
