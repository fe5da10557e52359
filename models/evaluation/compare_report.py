"""evaluate report: everything that a comparison of bridges says, as one page: tables, plots, sweeps and times.

Makes, or finds, all that `evaluate gap` and `evaluate captions` do, the bridges of the sweeps, and where the recipe names
an encoder also embeddings/, so that it can follow `corpus` at once. Writes evaluation-report/, or
evaluation-report-validation/: report.md and its plots/, report.html with everything inside, report.json and speed.json.
report.json and the plots are the same bytes every time; the other three hold times, and are not.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from models.bridge.interface import Bridge
from models.errors import TrainingError
from models.evaluation.bridge_speed import SpeedReport, measure_speeds, speed_table
from models.evaluation.caption_report import caption_head, caption_tables
from models.evaluation.caption_results import CaptionReport
from models.evaluation.compare_captions import caption_reader, compare_captions_report
from models.evaluation.compare_gap import measure_bridges
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.comparison_html import html_document
from models.evaluation.document import PLOTS_FOLDER, Plot, Section, markdown_document
from models.evaluation.encoder_copy import make_embeddings
from models.evaluation.gap_report import SPREAD_NOTE, GapReport, gap_head, gap_tables
from models.evaluation.settings import Figures, Split, report_folder
from models.evaluation.sweeps import SweepReport, measure_sweep, sweep_table
from models.output import say_written
from models.training.embed import EmbeddingSet
from models.training.folders import replaced
from models.training.recipe import Recipe, missing_section

_TITLE = "Comparison of bridges from audio to text"


class ComparisonReport(Figures):
    """All that is the same whenever it is measured; report.json."""

    gap: GapReport
    captions: CaptionReport | None
    sweeps: tuple[SweepReport, ...]


def compare_report(recipe: Recipe, work: Path, device: str, split: Split) -> None:
    """Make, or find, everything, and write the report.

    Raises:
        RecipeError: the recipe has no section [comparison], or its table of sounds cannot be read.
        TrainingError: the embeddings are not there, something kept was made by other settings, or the extra `train` is not
            installed.
        ArtifactError: the recipe's encoder cannot be used.
        DeviceError: there is no such device.
    """
    comparison = recipe.comparison
    if comparison is None:
        raise missing_section("comparison")
    plots = _report_plots()
    reader = None if comparison.captions is None else caption_reader(recipe)
    make_embeddings(comparison.encoder, recipe.embed, work, device)
    maker, everything = BridgeMaker.load(work, device), EmbeddingSet.load(work, split)
    held_out = everything.first(len(everything.audio))
    report = ComparisonReport(
        gap=measure_bridges(comparison, maker, held_out, split),
        captions=None if reader is None else compare_captions_report(recipe, reader, maker, held_out, split),
        sweeps=tuple(measure_sweep(sweep, comparison, maker) for sweep in comparison.sweeps),
    )
    bridges = _first_bridges(comparison, maker)
    speed = measure_speeds(bridges, held_out.audio, maker.device)
    gap_plots = plots.gap_plots(report.gap, bridges, held_out, maker.device)
    directory = report_folder(work, "evaluation-report", split)
    _write(directory, report, speed, _sections(report, speed, gap_plots, plots.sweep_plots(report.sweeps)))
    say_written(directory)


def _report_plots() -> ModuleType:
    """What draws; asked for early, since plots come after hours of training."""
    try:
        return importlib.import_module("models.evaluation.report_plots")
    except ImportError as error:
        message = "plots need matplotlib: run `make setup`, or install this package with its extra `train`"
        raise TrainingError(f"{message} ({error})") from error


def _first_bridges(comparison: ComparisonRecipe, maker: BridgeMaker) -> dict[str, Bridge]:
    """Every bridge under the first seed, for plots and times."""
    seeds = comparison.seeds[:1]
    return {name: maker.bridges(name, recipe, seeds)[0] for name, recipe in comparison.bridges.items()}


def _sections(
    report: ComparisonReport, speed: SpeedReport, gap_plots: Sequence[Plot], sweep_plots: Sequence[Plot]
) -> list[Section]:
    sections = [Section("Modality gap", gap_head(report.gap), gap_tables(report.gap), gap_plots)]
    if report.captions is not None:
        sections.append(Section("Captions", caption_head(report.captions), caption_tables(report.captions)))
    if report.sweeps:
        text = (
            f"Measured on the validation split ({report.sweeps[0].pairs} scenes) whatever split the rest is of, since "
            "settings are chosen by these figures. Every other setting is the recipe's unless the title names it. Mean ± "
            f"standard deviation over as many training seeds as the title says. {SPREAD_NOTE} The best of each bridge is "
            "bold, by what is printed."
        )
        tables = [sweep_table(sweep) for sweep in report.sweeps]
        sections.append(Section("Sweeps", text, tables, sweep_plots))
    text = "Times are of the machine that made this report, and never the same twice; all other figures are."
    return [*sections, Section("Time", text, [speed_table(speed)])]


def _write(directory: Path, report: ComparisonReport, speed: SpeedReport, sections: Sequence[Section]) -> None:
    with replaced(directory) as new:
        (new / PLOTS_FOLDER).mkdir()
        for plot in (plot for section in sections for plot in section.plots):
            (new / PLOTS_FOLDER / f"{plot.name}.svg").write_text(plot.svg, encoding="utf-8")
        (new / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (new / "speed.json").write_text(speed.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (new / "report.md").write_text(markdown_document(_TITLE, sections), encoding="utf-8")
        (new / "report.html").write_text(html_document(_TITLE, sections), encoding="utf-8")
