"""The plot of a sweep: a panel a criterion, lines between numbers and none between words, and the recipe's value."""

from xml.etree import ElementTree

from models.evaluation.gap import Spread
from models.evaluation.gap_report import ComparedBridge, Criteria
from models.evaluation.sweep_plots import sweep_plot
from models.evaluation.sweep_recipe import Value
from models.evaluation.sweeps import SHOWN, SweepLine, SweepPoint, SweepReport


def _report(*values: Value, own: Value, logarithmic: bool = False, bridges: tuple[str, ...] = ("a", "b")) -> SweepReport:
    def point(value: Value, height: float) -> SweepPoint:
        side = Criteria(**{name: Spread(mean=height, sd=0.1) for name in Criteria.model_fields})
        compared = ComparedBridge(name="a", kind="diffusion-link", runs=2, own_space=False, as_is=side, centred=side)
        return SweepPoint(value=value, measured=compared)

    points = tuple(point(value, 0.2 + 0.1 * number) for number, value in enumerate(values))
    lines = tuple(SweepLine(bridge=name, own_value=own, points=points) for name in bridges)
    return SweepReport(title="t", setting="x.y", fixed={}, logarithmic=logarithmic, pairs=9, seeds=(0, 1), lines=lines)


def _texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_bridges_setting_and_values_are_named() -> None:
    svg = sweep_plot(_report(0.01, 1, 70, own=1, logarithmic=True), "s")
    texts = _texts(svg)
    assert {"a", "b", "x.y"} <= set(texts)
    assert [texts.count(word) for word in ("0.01", "70")] == [len(SHOWN), len(SHOWN)]
    assert svg == sweep_plot(_report(0.01, 1, 70, own=1, logarithmic=True), "s")


def test_words_stand_in_the_order_of_the_recipe_without_a_line() -> None:
    texts = _texts(sweep_plot(_report("cold", "auto", "warm", own="auto"), "s"))
    assert [text for text in texts if text in ("cold", "auto", "warm")][:3] == ["cold", "auto", "warm"]
    numbers, words = (sweep_plot(_report(*values, own=values[0]), "s") for values in ((1, 2, 3), ("x", "y", "z")))
    assert numbers.count("fill-opacity: 0.2") == 2 * len(SHOWN)
    assert words.count("fill-opacity: 0.2") == 0


def test_only_a_value_that_is_there_is_marked_as_the_recipes() -> None:
    marked, unmarked = (sweep_plot(_report(1, 2, own=own, bridges=("a",)), "s") for own in (2, 7))
    assert marked.count("stroke-dasharray") - unmarked.count("stroke-dasharray") == len(SHOWN)
    assert ["dotted: the recipe's value" in _texts(svg) for svg in (marked, unmarked)] == [True, False]


def test_numbers_are_drawn_in_their_order_whatever_the_recipes() -> None:
    def heights(report: SweepReport) -> SweepReport:
        lines = [line.model_copy(update={"points": tuple(reversed(line.points))}) for line in report.lines]
        return report.model_copy(update={"lines": tuple(lines)})

    report = _report(1, 2, 3, own=7)
    assert sweep_plot(report, "s") == sweep_plot(heights(report), "s")
