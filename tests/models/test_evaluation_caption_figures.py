"""Figures of captions: perfect ones score best, spreads, gains and margins are those worked out by hand, seed by seed."""

import statistics

import pytest

from models.evaluation import more_metrics
from models.evaluation.caption_figures import MeasuredRuns, margins, measure_captions, measure_references, with_gains
from models.evaluation.caption_metrics import CaptionSet
from models.evaluation.caption_results import CaptionedBridge, CaptionFigures
from models.evaluation.events import EventReader
from models.evaluation.gap import Spread
from models.evaluation.more_metrics import MORE_METRICS
from models.training.scenes import SceneRecord

_READER = EventReader({"dog": ["a dog barks"], "rain": ["rain falls", "heavy rain falls"], "bell": ["a bell rings"]})
_RECORDS = [
    SceneRecord("a", ("dog",), "single", ("a dog barks", "a dog barks twice")),
    SceneRecord("b", ("rain", "bell"), "mix", ("rain falls while a bell rings",)),
    SceneRecord("c", ("bell",), "single", ("a bell rings", "A bell rings!")),
]
_RIGHT = ["a dog barks", "rain falls while a bell rings", "a bell rings"]
_FALSE = ["a bell rings", "a dog barks", "rain falls"]
_HALF = ["a dog barks", "rain falls", "a dog barks"]


def _bridge(name: str, kind: str, *scores: float) -> CaptionedBridge:
    values = dict.fromkeys(CaptionFigures.model_fields, Spread(mean=0.0, sd=0.0))
    return CaptionedBridge(
        setting="zero-shot",
        name=name,
        kind=kind,
        own_decoder=False,
        figures=CaptionFigures(**values),
        cider_d_by_seed=scores,
        gain=None,
    )


def _measured(*runs: list[str]) -> MeasuredRuns:
    (measured,), left_out = measure_captions([runs], _RECORDS, _READER)
    assert list(left_out) == list(MORE_METRICS)
    return measured


def test_rivals_are_measured_together_as_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_words(sets: list[CaptionSet]) -> list[float]:
        return [float(sum(len(caption.split()) for caption in one.captions)) for one in sets]

    monkeypatch.setattr(more_metrics, "score_meteor", count_words)
    together, left_out = measure_captions([[_RIGHT, _HALF], [_FALSE]], _RECORDS, _READER)
    assert list(left_out) == ["spice", "spider", "fense"]
    for runs, measured in zip(([_RIGHT, _HALF], [_FALSE]), together, strict=True):
        assert measure_captions([runs], _RECORDS, _READER)[0] == [measured]
    assert [measured.figures.meteor for measured in together] == [
        Spread(mean=10.0, sd=statistics.stdev([12, 8])),
        Spread(mean=8.0, sd=0.0),
    ]


def test_perfect_captions_have_the_best_scores_and_no_spread() -> None:
    figures, by_seed = _measured(_RIGHT, _RIGHT)
    for name in ("bleu_1", "rouge_l", "event_recall", "event_precision"):
        assert getattr(figures, name).mean == pytest.approx(1.0)
    assert figures.cider_d.mean == by_seed[0] == by_seed[1]
    spreads = {name: getattr(figures, name) for name in CaptionFigures.model_fields}
    assert all(spread.sd == 0.0 for name, spread in spreads.items() if name not in MORE_METRICS)
    assert [name for name, spread in spreads.items() if spread is None] == list(MORE_METRICS)
    assert (figures.vocabulary.mean, figures.words.mean) == (8, 4)
    wrong, _ = _measured(_FALSE, _FALSE)
    assert wrong.event_recall.mean == 0.0
    assert wrong.event_precision == Spread(mean=0.0, sd=0.0)
    assert figures.cider_d.mean > wrong.cider_d.mean + 1


def test_figures_are_means_and_deviations_over_the_seeds() -> None:
    figures, by_seed = _measured(_RIGHT, _HALF)
    # Of four sounds, the second run names two, in three mentions.
    assert figures.event_recall.mean == pytest.approx(0.75)
    assert figures.event_recall.sd == pytest.approx(0.5 / 2**0.5)
    assert figures.event_precision is not None
    assert figures.event_precision.mean == pytest.approx((1 + 2 / 3) / 2)
    assert figures.words.mean == pytest.approx((4 + 8 / 3) / 2)
    assert figures.cider_d == Spread(mean=statistics.fmean(by_seed), sd=statistics.stdev(by_seed))
    assert by_seed[0] > by_seed[1]


def test_precision_has_no_value_where_a_run_names_nothing() -> None:
    figures, _ = _measured(_RIGHT, ["noise"] * 3)
    assert figures.event_precision is None
    assert figures.event_recall.mean == pytest.approx(0.5)


def test_references_are_counted_without_case_and_punctuation() -> None:
    references = measure_references(_RECORDS)
    assert (references.count, references.vocabulary) == (5, 9)
    assert references.words == pytest.approx((3 + 4 + 6 + 3 + 3) / 5)


def test_gains_are_relative_and_seed_by_seed() -> None:
    plain, ours = with_gains([_bridge("none", "identity", 0.1, 0.4), _bridge("ours", "diffusion-link", 0.2, 0.6)])
    assert plain.gain == Spread(mean=0.0, sd=0.0)
    assert ours.gain is not None
    # +100 % and +50 %: not the 60 % that the two means would give.
    assert ours.gain.mean == pytest.approx(75.0)
    assert ours.gain.sd == pytest.approx(50 / 2**0.5)


def test_there_is_no_gain_over_nothing() -> None:
    assert all(bridge.gain is None for bridge in with_gains([_bridge("ours", "diffusion-link", 0.2, 0.6)]))
    zero = with_gains([_bridge("none", "identity", 0.1, 0.0), _bridge("ours", "diffusion-link", 0.2, 0.6)])
    assert all(bridge.gain is None for bridge in zero)


def test_margins_are_differences_seed_by_seed() -> None:
    bridges = [
        _bridge("ours", "diffusion-link", 0.3, 0.5, 0.7),
        _bridge("shift", "mean-shift", 0.1, 0.4, 0.4),
        _bridge("same", "ridge", 0.05, 0.25, 0.45),
    ]
    shift, same = margins("zero-shot", bridges)
    assert (shift.ours, shift.rival, same.rival) == ("ours", "shift", "same")
    assert shift.difference.mean == pytest.approx(0.2)
    assert shift.difference.sd == pytest.approx(0.1)
    assert shift.sds == pytest.approx(2.0)
    assert same.difference.mean == pytest.approx(0.25)
    assert margins("zero-shot", bridges[1:]) == []


def test_differences_that_are_all_the_same_have_no_deviation_to_count_in() -> None:
    (margin,) = margins("supervised", [_bridge("ours", "diffusion-link", 0.5, 0.75), _bridge("a", "ridge", 0.25, 0.5)])
    assert (margin.setting, margin.difference, margin.sds) == ("supervised", Spread(mean=0.25, sd=0.0), None)
