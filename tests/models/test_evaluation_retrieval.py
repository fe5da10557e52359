"""Recall at k, honest about ties and repeated captions."""

import numpy as np
import pytest

from models.evaluation.retrieval import cosines, recall_at, score_retrieval


def test_perfect_pairs_are_all_found() -> None:
    scores = score_retrieval(np.eye(12), np.eye(12) * 3, [str(row) for row in range(12)])
    for way in (scores.audio_to_text, scores.text_to_audio):
        assert (way.r_at_1, way.r_at_5, way.r_at_10) == (1.0, 1.0, 1.0)
    assert (scores.pairs, scores.distinct_captions) == (12, 12)


def test_the_ways_differ() -> None:
    audio = np.array([[1.0, 0.0], [0.9, 0.1]])
    texts = np.array([[1.0, 0.0], [0.0, 1.0]])
    scores = score_retrieval(audio, texts, ["a", "b"])
    assert scores.audio_to_text.r_at_1 == 0.5
    assert scores.text_to_audio.r_at_1 == 1.0


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 0.0), (3, 1.0)])
def test_a_right_item_is_found_at_its_rank(k: int, expected: float) -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.1]])
    assert recall_at(scores, np.array([[False, False, True, False]]), k) == expected


@pytest.mark.parametrize("k", [1, 5, 10])
def test_a_constant_embedding_gets_chance(k: int) -> None:
    right = np.eye(40, dtype=bool)
    assert recall_at(np.zeros((40, 40)), right, k) == pytest.approx(k / 40)


def test_ties_behind_better_wrong_items_get_the_slots_that_are_left() -> None:
    # One wrong item is better; the right one ties with two wrong ones for places 2 to 4.
    scores = np.array([[0.9, 0.5, 0.5, 0.5]])
    right = np.array([[False, True, False, False]])
    assert [recall_at(scores, right, k) for k in (1, 2, 3, 4)] == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])


def test_several_right_items_in_a_tie_count_once() -> None:
    scores, right = np.zeros((1, 4)), np.array([[True, True, False, False]])
    assert [recall_at(scores, right, k) for k in (1, 2, 3)] == pytest.approx([1 / 2, 5 / 6, 1.0])


def test_a_query_without_right_item_is_a_miss() -> None:
    assert recall_at(np.zeros((1, 3)), np.zeros((1, 3), dtype=bool), 10) == 0.0


def test_clips_of_the_same_caption_answer_for_each_other_but_wrong_ones_keep_their_places() -> None:
    audio = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    texts = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    same = score_retrieval(audio, texts, ["rain", "rain", "dog"])
    assert same.distinct_captions == 2
    assert same.text_to_audio.r_at_1 == 1.0
    assert score_retrieval(audio, texts, ["rain", "wind", "dog"]).text_to_audio.r_at_1 == pytest.approx(2 / 3)


@pytest.mark.parametrize("damage", [np.nan, np.inf, 0.0])
def test_embeddings_that_are_zero_or_not_finite_are_refused(damage: float) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        cosines(np.ones((2, 3)), np.full((2, 3), damage))


def test_cosines_of_any_length_and_of_float32_tie() -> None:
    rows = np.array([[1.0, 2.0], [3.0, 6.0]], dtype=np.float32)
    assert np.array_equal(cosines(rows, rows), np.ones((2, 2)))
