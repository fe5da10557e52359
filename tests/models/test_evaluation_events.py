"""Which sounds a caption names, and recall and precision of that."""

import random
from pathlib import Path

import pytest

from models.evaluation.events import EventReader, score_events
from models.training.bank import read_sounds
from models.training.captions import Layout, write_captions

_PHRASES = {
    "dog": ["a dog barks", "barking of a dog"],
    "clock": ["a clock is ringing", "a clock ticks"],
    "alarm": ["an alarm clock is ringing", "clock"],
    "applause": ["people cheer", "hands clap"],
    "crowd": ["people cheer", "many people talk"],
}
_READER = EventReader(_PHRASES)


def test_phrases_are_found_between_template_words() -> None:
    assert _READER.sounds("Barking of a dog, and then a clock ticks.") == {"dog", "clock"}
    assert _READER.sounds("the dog sleeps") == set()


def test_the_longest_phrase_wins_and_its_parts_are_not_counted() -> None:
    assert _READER.sounds("an alarm clock is ringing") == {"alarm"}
    assert _READER.sounds("a clock is ringing") == {"clock"}


def test_a_phrase_is_whole_words_only() -> None:
    assert _READER.sounds("clockwork") == set()
    assert _READER.sounds("a dog barksome") == set()


def test_neighbouring_phrases_share_no_word_but_both_count() -> None:
    assert _READER.sounds("a dog barks hands clap a dog barks") == {"dog", "applause"}


def test_a_shared_phrase_names_every_sound_that_has_it_and_is_one_mention() -> None:
    assert _READER.sounds("people cheer") == {"applause", "crowd"}
    assert _READER.mentions("people cheer and people cheer") == {frozenset({"applause", "crowd"})}


def test_micro_and_macro_recall_and_precision() -> None:
    captions = ["a dog barks", "a dog barks while a clock ticks", "nothing", "a dog barks"]
    truths = [["dog"], ["dog", "applause"], ["clock"], ["clock"]]
    scores = score_events(_READER, captions, truths)
    assert scores.recall == pytest.approx(2 / 5)
    assert scores.precision == pytest.approx(2 / 4)
    assert scores.macro_recall == pytest.approx((2 / 2 + 0 / 1 + 0 / 2) / 3)
    assert scores.macro_precision == pytest.approx((2 / 3 + 0 / 1) / 2)
    assert (scores.captions_without_event, scores.clips) == (1, 4)


def test_a_shared_phrase_is_right_whichever_of_its_sounds_is_there() -> None:
    scores = score_events(_READER, ["people cheer", "people cheer"], [["crowd"], ["applause"]])
    assert (scores.recall, scores.precision, scores.macro_precision) == (1.0, 1.0, 1.0)


def test_precision_has_no_value_where_nothing_is_named() -> None:
    scores = score_events(_READER, ["silence"], [["dog"]])
    assert (scores.recall, scores.precision, scores.macro_precision) == (0.0, None, None)


def test_a_sound_unknown_to_the_table_is_missed() -> None:
    assert score_events(_READER, ["a dog barks", "a dog barks"], [["dog"], ["whale"]]).recall == 0.5


def test_a_table_without_phrases_names_nothing() -> None:
    assert EventReader({"dog": ["?"]}).sounds("a dog barks") == set()


@pytest.mark.parametrize(("captions", "truths"), [([], []), (["a"], [[]]), (["a"], [["dog"], ["dog"]])])
def test_clips_without_truth_or_caption_are_refused(captions: list[str], truths: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="every clip"):
        score_events(_READER, captions, truths)


def test_the_captions_of_the_corpus_are_read_back_as_the_sounds_that_they_were_written_for() -> None:
    sounds = read_sounds(Path(__file__).parents[2] / "recipes" / "soundbank" / "sounds.csv")
    reader = EventReader({sound.name: sound.phrases for sound in sounds})
    rng = random.Random(0)
    layouts: tuple[tuple[Layout, int], ...] = (("single", 1), ("sequence", 2), ("sequence", 3), ("together", 3))
    for layout, count in layouts * 100:
        chosen = rng.sample(sounds, count)
        (caption,) = write_captions(chosen, layout, repeated=True, count=1, rng=rng)
        assert reader.sounds(caption) == {sound.name for sound in chosen}, caption
