"""Which plots a report holds: ours alone, the others together, nobody from a space of his own, and one a sweep."""

from typing import Any

import torch

from models.bridge.c3 import C3
from models.bridge.identity import Identity
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge
from models.evaluation.compare_gap import measure_bridge
from models.evaluation.document import Plot
from models.evaluation.gap import Spread
from models.evaluation.gap_report import ComparedBridge, Criteria, GapReport
from models.evaluation.report_plots import gap_plots, sweep_plots
from models.evaluation.sweeps import SweepLine, SweepPoint, SweepReport
from models.training.embed import EmbeddingSet
from tests.models.bridge_toy import toy_pairs

_CPU = torch.device("cpu")
_PAIRS = toy_pairs(0, 40)
_HELD_OUT = EmbeddingSet(_PAIRS.audio, _PAIRS.text, [str(number) for number in range(40)], torch.arange(41), {})
_KINDS = {"identity": Identity, "ridge": Ridge, "c3": C3, "ours": MeanShift}


def _plots(*names: str) -> list[Plot]:
    bridges: dict[str, Any] = {name: _KINDS[name].fit(_PAIRS.audio, _PAIRS.text) for name in names}
    compared = [measure_bridge(name, [bridge], [0], _HELD_OUT, _CPU) for name, bridge in bridges.items()]
    # A network is not needed to see how a bridge of the paper's kind is shown.
    compared = [bridge.model_copy(update={"kind": "diffusion-link"} if bridge.name == "ours" else {}) for bridge in compared]
    counts = {"pairs": 40, "distinct_captions": 40, "training_scenes": 40, "training_captions": 40}
    report = GapReport(split="test", pairs_shares={}, seeds=(0,), bridges=tuple(compared), **counts)
    return gap_plots(report, bridges, _HELD_OUT, _CPU)


def test_ours_alone_and_the_others_together() -> None:
    plots = {plot.name: plot for plot in _plots("identity", "ridge", "c3", "ours")}
    assert list(plots) == ["migration-ours", "migration-others", "paired-cosines", "gap-retrieval"]
    others = plots["migration-others"]
    assert others.caption.endswith("Left out, with texts in a space of their own: `c3`.")
    assert ">ridge</text>" in others.svg
    for name in ("identity", "c3", "ours"):
        assert f">{name}</text>" not in others.svg
        assert f">{name}" in plots["paired-cosines"].svg
    assert "40 scenes" in plots["migration-ours"].caption
    missing = "Missing from the upper row, with texts in a space of their own: `c3`."
    assert plots["gap-retrieval"].caption.endswith(missing)


def test_without_others_and_without_ours_there_is_less_to_show() -> None:
    assert [plot.name for plot in _plots("identity")] == ["paired-cosines", "gap-retrieval"]
    plots = _plots("ridge")
    assert [plot.name for plot in plots] == ["migration-others", "paired-cosines", "gap-retrieval"]
    assert "Left out" not in plots[0].caption
    assert "Missing" not in plots[2].caption
    assert [plot.name for plot in _plots("c3")] == ["paired-cosines", "gap-retrieval"]


def _sweep(setting: str, fixed: dict[str, int | float | bool | str]) -> SweepReport:
    side = Criteria(**{name: Spread(mean=0.5, sd=0.1) for name in Criteria.model_fields})
    compared = ComparedBridge(name="a", kind="ridge", runs=2, own_space=False, as_is=side, centred=side)
    points = tuple(SweepPoint(value=value, measured=compared) for value in (0.5, 1.0))
    lines = (SweepLine(bridge="a", own_value=None, points=points),)
    return SweepReport(title="t", setting=setting, fixed=fixed, logarithmic=False, pairs=9, seeds=(0, 1), lines=lines)


def test_a_sweep_says_what_is_shown_and_what_is_fixed() -> None:
    (plot,) = sweep_plots([_sweep("x.y", {"sampling.start_step": 400})])
    assert (plot.name, plot.title) == ("sweep-1", "Sweep: t; sampling.start_step = 400; 2 seeds")
    assert plot.caption.startswith(
        "t; `sampling.start_step` = 400; 2 seeds. Over `x.y`, on the validation split: paired cos"
    )
    assert "difference ↑, means removed; centroid distance" in plot.caption
    (plot,) = sweep_plots([_sweep("pairs_share", {})])
    assert plot.title == "Sweep: t; 2 seeds; the first scenes, the same under every seed"
