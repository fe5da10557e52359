"""Which plots a report holds: ours alone, the others together, nobody from a space of his own, and one a sweep."""

from typing import Any

import torch

from models.bridge.c3 import C3
from models.bridge.identity import Identity
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge
from models.evaluation.compare_gap import measure_bridge
from models.evaluation.document import Plot
from models.evaluation.gap_report import GapReport
from models.evaluation.report_plots import gap_plots
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
    report = GapReport(split="test", seeds=(0,), bridges=tuple(compared), **counts)
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


def test_without_others_and_without_ours_there_is_less_to_show() -> None:
    assert [plot.name for plot in _plots("identity")] == ["paired-cosines", "gap-retrieval"]
    plots = _plots("ridge")
    assert [plot.name for plot in plots] == ["migration-others", "paired-cosines", "gap-retrieval"]
    assert "Left out" not in plots[0].caption
