"""The plots of a comparison show what was measured: who is where, and that a line leads from audio to its text."""

import re
from xml.etree import ElementTree

import pytest
import torch

from models.evaluation.comparison_plots import (
    BridgedScenes,
    Plane,
    cosine_histograms,
    gap_against_retrieval,
    migration,
    migrations,
)
from models.evaluation.gap import Spread
from models.evaluation.gap_report import ComparedBridge, Criteria, GapReport
from tests.models.bridge_toy import toy_pairs

_PAIRS = toy_pairs(0, 50)


def _texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def _scenes(name: str, kind: str = "ridge", *, own_space: bool = False) -> BridgedScenes:
    return BridgedScenes(name, kind, own_space, _PAIRS.text, _PAIRS.text)


def test_the_plane_is_that_of_most_variance_with_signs_that_are_chosen() -> None:
    rows = torch.nn.functional.normalize(torch.tensor([[3.0, 0, 1], [-3, 0, 1], [0, 2, 1], [0, -2, 1]]), dim=1)
    plane = Plane.fit(rows[:2], rows[2:])
    assert torch.allclose(plane.directions.abs(), torch.eye(3, 2, dtype=torch.float64), atol=1e-6)
    assert (plane.directions.sum(dim=0) > 0).all()
    assert torch.allclose(plane(rows[:1]) - plane(rows[1:2]), torch.tensor([[6 / 10**0.5, 0.0]]).double(), atol=1e-6)


def test_lines_of_migration_end_where_the_bridge_brings_audio() -> None:
    still = BridgedScenes("still", "identity", False, _PAIRS.audio, _PAIRS.text)
    moved, stays = (migration(_PAIRS.audio, _PAIRS.text, bridge, "m") for bridge in (_scenes("a"), still))

    lines = [
        [[float(number) for number in re.findall(r"-?[\d.]+", node.attrib["d"])] for node in _grey_lines(svg)]
        for svg in (moved, stays)
    ]
    lengths = [[((c - a) ** 2 + (d - b) ** 2) ** 0.5 for a, b, c, d in part] for part in lines]
    assert [len(part) for part in lengths] == [50, 50]
    assert max(lengths[1]) < 1e-3 < 20 < max(lengths[0])


def _grey_lines(svg: str) -> list[ElementTree.Element]:
    paths = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    return [path for path in paths if "stroke: #999999" in path.attrib.get("style", "")]


def test_the_key_names_the_three_kinds_of_points() -> None:
    texts = _texts(migration(_PAIRS.audio, _PAIRS.text, _scenes("a"), "m"))
    assert [text for text in texts if text in ("audio", "text", "bridged audio")] == ["audio", "text", "bridged audio"]


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_each_bridge_has_a_panel(count: int) -> None:
    names = [f"bridge-{number}" for number in range(count)]
    bridges = [_scenes(name) for name in names]
    texts = _texts(migrations(_PAIRS.audio, _PAIRS.text, bridges, "m"))
    assert [text for text in texts if text.startswith("bridge-")] == names
    texts = _texts(cosine_histograms(_PAIRS.audio, _PAIRS.text, bridges, "h"))
    assert [text for text in texts if text.startswith("bridge-")] == [f"{name}: mean 1.000" for name in names]


def test_histograms_have_the_mean_cosine_of_each_bridge() -> None:
    plain = BridgedScenes("plain", "identity", False, _PAIRS.audio, _PAIRS.text)
    texts = _texts(cosine_histograms(_PAIRS.audio, _PAIRS.text, [plain, _scenes("own", own_space=True)], "h"))
    mean = float((_PAIRS.audio * _PAIRS.text).sum(dim=1).mean())
    assert f"plain: mean {mean:.3f}" in texts
    assert "own †: mean 1.000" in texts


def _compared(name: str, kind: str, gap: float, found: float, *, own_space: bool = False) -> ComparedBridge:
    values = dict.fromkeys(Criteria.model_fields, gap) | {"audio_to_text_r_at_10": found}
    side = Criteria(**{key: Spread(mean=value, sd=0.01) for key, value in values.items()})
    return ComparedBridge(name=name, kind=kind, runs=2, own_space=own_space, as_is=side, centred=side)


def test_every_bridge_has_its_name_in_every_panel_that_ranks_it() -> None:
    bridges = (
        _compared("plain", "identity", 0.9, 0.1),
        _compared("ours", "diffusion-link", 0.1, 0.3),
        _compared("apart", "c3", 0.05, 0.2, own_space=True),
    )
    counts = {"pairs": 9, "distinct_captions": 8, "training_scenes": 7, "training_captions": 28}
    report = GapReport(split="test", pairs_shares={}, seeds=(0, 1), bridges=bridges, **counts)
    svg = gap_against_retrieval(report, "g")
    texts = _texts(svg)
    assert [texts.count(name) for name in ("plain", "ours", "apart")] == [4, 4, 2]
    assert texts.count("as is") == texts.count("means removed") == 2
    assert svg == gap_against_retrieval(report, "g")


def test_where_all_have_a_space_of_their_own_the_upper_row_is_empty() -> None:
    counts = {"pairs": 9, "distinct_captions": 8, "training_scenes": 7, "training_captions": 28}
    bridges = (_compared("apart", "c3", 0.05, 0.2, own_space=True),)
    report = GapReport(split="test", pairs_shares={}, seeds=(0, 1), bridges=bridges, **counts)
    assert _texts(gap_against_retrieval(report, "g")).count("apart") == 2
