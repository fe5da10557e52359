"""Hearing: naming the sound of a single recording among all sounds of the table, by the nearest class embedding.

A sound's class embedding is the normalised mean of the CLAP text embeddings of its phrases. A recording is right at k if
fewer than k other sounds score at least as high as its own (ties count against the model). A recording of a sound that
the model's table does not have, because it was dropped or merged, is a miss: it stays in the denominator.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from models.evaluation.retrieval import cosines
from models.evaluation.settings import Figures
from models.evaluation.texts import EmbedTexts

_MISSED = np.iinfo(np.int64).max


class HearingScores(Figures):
    """Accuracy over recordings."""

    top_1: float
    top_5: float
    macro_top_1: float
    """Mean over the sounds that have recordings of each one's top 1."""
    recordings: int
    sounds: int
    """Sounds to choose from; chance is 1 in so many."""


class HeardSound(Figures):
    """How one sound's recordings were named."""

    sound: str
    recordings: int
    right: int
    right_in_5: int
    most_confused_with: str | None
    """The sound that most of the wrongly named recordings were taken for."""


def class_embeddings(phrases: Mapping[str, Sequence[str]], embed_texts: EmbedTexts) -> Float[np.ndarray, "sounds dim"]:
    """Normalised mean of the embeddings of each sound's phrases, in the table's order."""
    embeddings = embed_texts([phrase for texts in phrases.values() for phrase in texts]).astype(np.float64)
    ends = np.cumsum([len(texts) for texts in phrases.values()])
    means: Float[np.ndarray, "sounds dim"] = np.stack([part.mean(axis=0) for part in np.split(embeddings, ends[:-1])])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means


def name_sounds(
    embeddings: Float[np.ndarray, "recordings dim"],
    classes: Float[np.ndarray, "sounds dim"],
    sounds: Sequence[str],
    truths: Sequence[str],
) -> tuple[HearingScores, list[HeardSound]]:
    """Name each recording's sound, and compare with the truth; the table has a row for each true sound, in first order."""
    scores = cosines(embeddings, classes)
    ranks = _ranks(scores, sounds, truths)
    named = [sounds[index] for index in scores.argmax(axis=1)]
    table = [_heard(sound, ranks, named, truths) for sound in dict.fromkeys(truths)]
    summary = HearingScores(
        top_1=float((ranks < 1).mean()),
        top_5=float((ranks < 5).mean()),
        macro_top_1=float(np.mean([row.right / row.recordings for row in table])),
        recordings=len(truths),
        sounds=len(sounds),
    )
    return summary, table


def _ranks(
    scores: Float[np.ndarray, "recordings sounds"], sounds: Sequence[str], truths: Sequence[str]
) -> Int[np.ndarray, " recordings"]:
    """How many other sounds score at least as high as the true one; more than any k where that is not in the table."""
    column = {sound: index for index, sound in enumerate(sounds)}
    return np.array(
        [
            int((row >= row[column[truth]]).sum()) - 1 if truth in column else _MISSED
            for row, truth in zip(scores, truths, strict=True)
        ]
    )


def _heard(sound: str, ranks: Int[np.ndarray, " recordings"], named: Sequence[str], truths: Sequence[str]) -> HeardSound:
    own = [index for index, truth in enumerate(truths) if truth == sound]
    wrong = Counter(named[index] for index in own if named[index] != sound)
    return HeardSound(
        sound=sound,
        recordings=len(own),
        right=sum(int(ranks[index]) < 1 for index in own),
        right_in_5=sum(int(ranks[index]) < 5 for index in own),
        most_confused_with=min(wrong, key=lambda name: (-wrong[name], name)) if wrong else None,
    )
