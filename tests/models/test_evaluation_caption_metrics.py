"""Caption metrics against golden values of aac-metrics 0.6.0 without PTB tokenisation."""

import sys

import pytest

from models.errors import TrainingError
from models.evaluation.caption_metrics import score_captions, words_of

_CAPTIONS = ["a man is speaking", "rain falls", "a dog barks twice"]
_REFERENCES = [
    ["a man speaks", "someone is speaking"],
    ["rain is falling hard", "heavy rain falls on a roof"],
    ["a dog barks", "the dog is barking"],
]


def test_golden_values() -> None:
    scores = score_captions(_CAPTIONS, _REFERENCES)
    assert scores.bleu_1 == pytest.approx(0.8144, abs=5e-5)
    assert scores.bleu_2 == pytest.approx(0.7255, abs=5e-5)
    assert scores.bleu_3 == pytest.approx(0.4920, abs=5e-5)
    assert scores.bleu_4 == pytest.approx(0.0001, abs=5e-5)
    assert scores.rouge_l == pytest.approx(0.6417, abs=5e-5)
    assert scores.cider_d == pytest.approx(2.368, abs=5e-4)
    assert (scores.vocabulary, scores.reference_vocabulary) == (9, 17)


def test_case_and_punctuation_do_not_count_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    shouted = [f"{caption.upper()}!" for caption in _CAPTIONS]
    assert score_captions(shouted, _REFERENCES) == score_captions(_CAPTIONS, _REFERENCES)
    assert capfd.readouterr() == ("", "")


def test_words_keep_their_hyphens_and_apostrophes() -> None:
    assert words_of("A hi-hat ticks; it's  Élan's “tom-tom”, -twice-.") == [
        "a", "hi-hat", "ticks", "it's", "élan's", "tom-tom", "twice",
    ]  # fmt: skip


def test_a_caption_equal_to_its_only_reference_gets_full_marks() -> None:
    captions = ["a small dog barks very loudly", "rain is falling on a roof"]
    scores = score_captions(captions, [[caption] for caption in captions])
    assert scores.bleu_4 == pytest.approx(1.0)
    assert scores.rouge_l == pytest.approx(1.0)
    assert scores.cider_d == pytest.approx(10.0)


def test_a_caption_without_a_word_scores_nothing() -> None:
    scores = score_captions(["?", "..."], [["a dog barks"], ["rain falls"]])
    assert scores.vocabulary == 0
    assert (scores.rouge_l, scores.cider_d) == (0.0, 0.0)
    assert scores.bleu_1 == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("captions", "references"),
    [([], []), (["a dog"], [["a dog"]]), (["a", "b"], [["a"]]), (["a", "b"], [["a"], []])],
)
def test_too_few_captions_or_references_are_refused(captions: list[str], references: list[list[str]]) -> None:
    with pytest.raises(TrainingError, match="CIDEr-D needs two captions"):
        score_captions(captions, references)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    for name in [name for name in sys.modules if name.startswith("pycocoevalcap.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(TrainingError, match="extra `train`"):
        score_captions(_CAPTIONS, _REFERENCES)
