"""All metrics together: each set gets its own figures, SPIDEr is a mean, and what is missing is named and harms nothing."""

from collections.abc import Sequence

import pytest

from models.evaluation import more_metrics
from models.evaluation.aac import AacScores
from models.evaluation.caption_metrics import CaptionSet, score_captions
from models.evaluation.more_metrics import MORE_METRICS, left_out_note, score_sets

_SETS = [
    CaptionSet(["A man is speaking.", "rain falls"], [["a man speaks"], ["rain, falling hard"]]),
    CaptionSet(["a dog barks", "a cat"], [["a dog barks"], ["a bell"]]),
]


def test_what_is_missing_is_named_and_the_rest_is_as_without_it() -> None:
    scores, left_out = score_sets(_SETS)
    assert scores == [score_captions(*one) for one in _SETS]
    assert list(left_out) == list(MORE_METRICS)
    assert left_out["meteor"] == "not in this test"
    assert left_out["spider"] == "it is the mean of CIDEr-D and SPICE"


def test_every_set_gets_its_own_figures_of_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[CaptionSet]] = []

    def score_aac(sets: Sequence[CaptionSet]) -> AacScores:
        asked.append(sets)
        return AacScores({"spice": [0.25, 0.5], "fense": [0.75, 1.0]}, {})

    def score_meteor(sets: Sequence[CaptionSet]) -> list[float]:
        asked.append(sets)
        return [0.1, 0.2]

    monkeypatch.setattr(more_metrics, "score_aac", score_aac)
    monkeypatch.setattr(more_metrics, "score_meteor", score_meteor)
    (first, second), left_out = score_sets(_SETS)
    assert left_out == {}
    assert (first.meteor, first.spice, first.fense) == (0.1, 0.25, 0.75)
    assert (second.meteor, second.spice, second.fense) == (0.2, 0.5, 1.0)
    assert first.spider == pytest.approx((first.cider_d + 0.25) / 2)
    assert second.spider == pytest.approx((second.cider_d + 0.5) / 2)
    assert asked[0] == asked[1]
    assert asked[0][0] == (["a man is speaking", "rain falls"], [["a man speaks"], ["rain falling hard"]])


def test_metrics_of_one_reason_stand_together() -> None:
    assert left_out_note({"meteor": "a", "spice": "b", "fense": "a"}) == "Left out: METEOR and FENSE (a), SPICE (b)."
    assert left_out_note({}) == ""
