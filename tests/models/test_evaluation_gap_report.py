"""The tables of a comparison: the best is marked, places are counted, and nobody wins in a space of his own."""

from typing import Any

import pytest

from models.evaluation.gap import Spread
from models.evaluation.gap_report import CRITERIA, ComparedBridge, Criteria, GapReport, gap_head, markdown_gap_report


def _criteria(sd: float, **means: float) -> Criteria:
    values = dict.fromkeys(Criteria.model_fields, 0.25) | means
    return Criteria(**{name: Spread(mean=mean, sd=sd) for name, mean in values.items()})


def _bridge(name: str, kind: str, runs: int = 1, *, own_space: bool = False, **means: float) -> ComparedBridge:
    side = _criteria(0.01 if runs > 1 else 0.0, **means)
    return ComparedBridge(name=name, kind=kind, runs=runs, own_space=own_space, as_is=side, centred=side)


def _report(*bridges: ComparedBridge, captions: int = 28, shares: dict[str, float] | None = None) -> GapReport:
    counts = {"pairs": 9, "distinct_captions": 8, "training_scenes": 7, "training_captions": captions}
    return GapReport(split="validation", seeds=(0, 1), bridges=bridges, pairs_shares=shares or {}, **counts)


def _cells(report: GapReport, title: str) -> dict[str, dict[str, str]]:
    """A table's cells by row and column."""
    section = markdown_gap_report(report).split(f"### {title}\n")[1].split("###")[0]
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


_REPORT = _report(
    _bridge("plain", "identity", paired_cosine=0.5, frechet_distance=0.9, probe_accuracy=0.2, unpaired_cosine=0.0),
    _bridge("line", "ridge", paired_cosine=0.9, frechet_distance=0.1, probe_accuracy=0.6, audio_to_text_r_at_1=0.301),
    _bridge("text", "diffusion-bridge", 2, paired_cosine=0.6, frechet_distance=0.3, audio_to_text_r_at_1=0.2),
    _bridge("ours", "diffusion-link", 2, paired_cosine=0.8, frechet_distance=0.2, audio_to_text_r_at_1=0.3014),
)


@pytest.mark.parametrize("title", ["As is", "Each modality's mean removed"])
def test_the_best_of_each_criterion_is_bold(title: str) -> None:
    cells = _cells(_REPORT, title)
    assert cells["line"]["paired cosine ↑"] == "**0.900**"
    assert cells["ours"]["paired cosine ↑"] == "0.800 ± 0.010"
    assert cells["line"]["Fréchet distance ↓"] == "**0.1000**"
    assert cells["plain"]["Fréchet distance ↓"] == "0.9000"
    # As near to a half from below as from above is near.
    assert [name for name, row in cells.items() if row["probe accuracy → 0.5"].startswith("**")] == ["line"]
    # What prints the same has won together.
    assert (cells["line"]["audio → text R@1 % ↑"], cells["ours"]["audio → text R@1 % ↑"]) == ("**30.1**", "**30.1 ± 1.0**")
    assert not any(row["unpaired cosine"].startswith("**") for row in cells.values())


def test_places_are_counted_among_diffusion_and_among_all() -> None:
    row = _cells(_REPORT, "Place of `ours`")["paired cosine"]
    assert row == {
        "as is, among diffusion-based": "1 of 2",
        "as is, among all": "2 of 4",
        "as is, first": "line",
        "means removed, among diffusion-based": "1 of 2",
        "means removed, among all": "2 of 4",
        "means removed, first": "line",
    }
    assert _cells(_REPORT, "Place of `ours`")["audio → text R@1 %"]["as is, first"] == "line, ours"


def test_a_bridge_with_a_space_of_its_own_is_ranked_only_without_means() -> None:
    report = _report(*_REPORT.bridges, _bridge("apart", "c3", own_space=True, paired_cosine=0.99))
    assert _cells(report, "As is")["apart †"]["paired cosine ↑"] == "0.990"
    assert _cells(report, "As is")["line"]["paired cosine ↑"] == "**0.900**"
    assert _cells(report, "Each modality's mean removed")["apart"]["paired cosine ↑"] == "**0.990**"
    places = _cells(report, "Place of `ours`")["paired cosine"]
    assert (places["as is, among all"], places["means removed, among all"]) == ("2 of 4", "3 of 5")
    assert "† `apart`" in markdown_gap_report(report)
    assert "†" not in markdown_gap_report(_REPORT)


def test_the_head_says_what_was_measured_and_what_was_seen() -> None:
    head = markdown_gap_report(_REPORT).splitlines()[0]
    for words in (
        "validation split: 9 scenes",
        "8 are different",
        "7 other scenes with 28 captions",
        "2 training seeds (0, 1)",
        "knows nothing of which scenes were drawn",
    ):
        assert words in head


def test_the_head_says_who_saw_less_than_all() -> None:
    least = "at most 50,000 of the training captions"
    heads = [gap_head(_report(*_REPORT.bridges, captions=count)) for count in (50_000, 50_001)]
    assert [least in head for head in heads] == [False, True]
    head = gap_head(_report(*_REPORT.bridges, shares={"line": 0.1}))
    assert "`line` saw a share of 0.1 of the training scenes: the first ones, the same under every seed." in head
    assert least not in head
    assert "saw a share" not in heads[0]


def test_without_diffusion_link_there_is_no_place() -> None:
    assert "Place of" not in markdown_gap_report(_report(*_REPORT.bridges[:2]))


def test_every_criterion_is_shown() -> None:
    assert list(CRITERIA) == [*dict.fromkeys([*CRITERIA, *Criteria.model_fields])]
    assert set(CRITERIA) == set(Criteria.model_fields)


def test_json_comes_back_as_it_was() -> None:
    text = _REPORT.model_dump_json()
    assert GapReport.model_validate_json(text) == _REPORT
    content: dict[str, Any] = _REPORT.model_dump()
    assert content["bridges"][3]["centred"]["paired_cosine"] == {"mean": 0.8, "sd": 0.01}
