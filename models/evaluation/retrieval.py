"""Retrieval between clips and captions, both ways: how often a right answer is among the first k.

Scenes of the same sounds can have the same caption, and then no model can tell them apart: every clip whose caption is
the same text is a right answer, and one among the first k is a hit. All others are wrong and keep their places. Where
right and wrong answers score the same (a bridge that collapses does that), the hit counts by its probability under a
random order of those that tie: a constant embedding gets chance, neither 0 nor 1.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from models.evaluation.settings import Figures

TIE_DECIMALS = 6
"""Cosines are compared after rounding to this many decimals: below, float32 products differ by the order of summation."""


class Recalls(Figures):
    """Share of queries with a right answer among the first 1, 5 and 10."""

    r_at_1: float
    r_at_5: float
    r_at_10: float


class RetrievalScores(Figures):
    """Retrieval both ways."""

    audio_to_text: Recalls
    text_to_audio: Recalls
    pairs: int
    distinct_captions: int
    """Fewer than `pairs` where captions repeat."""


def cosines(
    rows: Float[np.ndarray, "rows dim"], columns: Float[np.ndarray, "columns dim"]
) -> Float[np.ndarray, "rows columns"]:
    """Cosine of every row with every column, rounded so that equal ones tie.

    Raises:
        ValueError: an embedding is zero or not finite; comparisons with NaN would count in the model's favour.
    """
    norms = [np.linalg.norm(side.astype(np.float64), axis=1, keepdims=True) for side in (rows, columns)]
    if not all(np.isfinite(norm).all() and norm.all() for norm in norms):
        raise ValueError("an embedding is zero or not finite")
    table: Float[np.ndarray, "rows columns"] = (rows / norms[0]) @ (columns / norms[1]).T
    return table.round(TIE_DECIMALS)


def recall_at(scores: Float[np.ndarray, "queries items"], right: Bool[np.ndarray, "queries items"], k: int) -> float:
    """Share of queries with a right item among the first k, ties in random order; a query without a right item misses."""
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    slots = k - ((scores > best) & ~right).sum(axis=1)
    tied_wrong = ((scores == best) & ~right).sum(axis=1)
    tied_right = ((scores == best) & right).sum(axis=1)
    hits = [
        0.0 if free <= 0 else 1.0 - math.comb(int(wrong), int(free)) / math.comb(int(wrong + good), int(free))
        for free, wrong, good in zip(np.minimum(slots, tied_wrong + tied_right), tied_wrong, tied_right, strict=True)
    ]
    return float(np.mean(hits))


def score_retrieval(
    audio: Float[np.ndarray, "pairs dim"], texts: Float[np.ndarray, "pairs dim"], captions: Sequence[str]
) -> RetrievalScores:
    """Retrieve captions by clip and clips by caption; row i of both sides belongs to captions[i]."""
    number = {caption: index for index, caption in enumerate(dict.fromkeys(captions))}
    numbers = np.array([number[caption] for caption in captions])
    same = numbers[:, None] == numbers[None, :]
    scores = cosines(audio, texts)
    return RetrievalScores(
        audio_to_text=_recalls(scores, same),
        text_to_audio=_recalls(scores.T, same),
        pairs=len(captions),
        distinct_captions=len(number),
    )


def _recalls(scores: Float[np.ndarray, "queries items"], right: Bool[np.ndarray, "queries items"]) -> Recalls:
    return Recalls(
        r_at_1=recall_at(scores, right, 1), r_at_5=recall_at(scores, right, 5), r_at_10=recall_at(scores, right, 10)
    )
