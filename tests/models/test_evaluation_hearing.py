"""Naming a recording's sound by the nearest class embedding."""

from collections.abc import Sequence

import numpy as np
import pytest

from models.evaluation.hearing import class_embeddings, name_sounds

_SOUNDS = ["dog", "cat", "rain", "bell", "horn", "wind"]


def _letters(texts: Sequence[str]) -> np.ndarray:
    table = np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def test_a_class_is_the_normalised_mean_of_its_phrases() -> None:
    classes = class_embeddings({"one": ["a", "b"], "two": ["c"]}, _letters)
    assert classes == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0.0], [0.0, 0.0, 1.0]]))


def test_top_1_top_5_and_the_table_by_sound() -> None:
    embeddings = np.array(
        [
            [1.0, 0.9, 0, 0, 0, 0],  # dog, heard
            [0.8, 1.0, 0, 0, 0, 0],  # dog, taken for a cat
            [0.9, 1.0, 0.1, 0, 0, 0],  # dog, taken for a cat
            [0.1, 0.9, 0.8, 0.7, 0.6, 0.5],  # dog, sixth
            [0, 0, 1.0, 0, 0, 0],  # rain, heard
        ]
    )
    scores, table = name_sounds(embeddings, np.eye(6), _SOUNDS, ["dog"] * 4 + ["rain"])
    assert (scores.top_1, scores.top_5) == (2 / 5, 4 / 5)
    assert scores.macro_top_1 == pytest.approx((1 / 4 + 1) / 2)
    assert (scores.recordings, scores.sounds) == (5, 6)
    dog, rain = table
    assert (dog.sound, dog.recordings, dog.right, dog.right_in_5, dog.most_confused_with) == ("dog", 4, 1, 3, "cat")
    assert (rain.right, rain.most_confused_with) == (1, None)


@pytest.mark.parametrize("sounds", [_SOUNDS, _SOUNDS[:3]])
def test_a_sound_that_the_table_lacks_is_missed_and_stays_in_the_denominator(sounds: list[str]) -> None:
    embeddings = np.array([[1.0, 0, 0], [1.0, 0, 0]])
    scores, table = name_sounds(embeddings, np.eye(len(sounds))[:, :3] + 1e-3, sounds, ["dog", "whale"])
    assert (scores.top_1, scores.top_5) == (0.5, 0.5)
    assert (table[1].sound, table[1].right_in_5, table[1].most_confused_with) == ("whale", 0, "dog")


def test_ties_count_against_the_model() -> None:
    scores, _ = name_sounds(np.ones((2, 3)), np.ones((2, 3)), ["dog", "cat"], ["dog", "cat"])
    assert scores.top_1 == 0.0


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        name_sounds(np.full((1, 2), np.nan), np.eye(2), ["dog", "cat"], ["dog"])
