"""What is measured of scenes and of a data set's clips alike: with the bridge and without it, the rest equal."""

import random
from collections.abc import Sequence

from models.evaluation.caption_metrics import CaptionScores, CaptionSet
from models.evaluation.clips import Captioned, bridge_with_seed
from models.evaluation.gap import GapScores, measure_gap
from models.evaluation.more_metrics import score_sets
from models.evaluation.retrieval import RetrievalScores, score_retrieval
from models.evaluation.settings import EvaluateRecipe, Paired
from models.evaluation.texts import TextSides
from models.pipeline import Pipeline


def retrieval_both(captioned: Captioned, texts: TextSides, captions: Sequence[str]) -> Paired[RetrievalScores]:
    """Retrieve captions by clip and clips by caption; a caption for each clip, and its embeddings."""
    return Paired[RetrievalScores](
        bridged=score_retrieval(captioned.bridged, texts.bridged, captions),
        raw=score_retrieval(captioned.clips.raw, texts.raw, captions),
    )


def score_both(*captioned: Captioned) -> tuple[list[Paired[CaptionScores]], dict[str, str]]:
    """Score the captions of each kind of clips; the second says which metrics could not be computed, and why."""
    sets = [
        CaptionSet([written.caption for written in captions], [list(texts) for texts in clips.clips.references])
        for clips in captioned
        for captions in (clips.captions, clips.captions_raw)
    ]
    scores, left_out = score_sets(sets)
    pairs = zip(scores[::2], scores[1::2], strict=True)
    return [Paired[CaptionScores](bridged=bridged, raw=raw) for bridged, raw in pairs], left_out


def gap_both(pipeline: Pipeline, captioned: Captioned, texts: TextSides, recipe: EvaluateRecipe) -> Paired[GapScores]:
    """Measure the gap between clips and captions, row by row, under every seed of the recipe.

    Raises:
        ValueError: there are fewer than four clips.
    """
    raw = captioned.clips.raw
    seeds = [recipe.seed + run for run in range(recipe.gap_seeds)]
    return Paired[GapScores](
        bridged=measure_gap(lambda seed: bridge_with_seed(pipeline, raw, seed), texts.bridged, seeds),
        raw=measure_gap(lambda seed: raw, texts.raw, seeds),
    )


def chosen_rows(captioned: Captioned, recipe: EvaluateRecipe) -> list[int]:
    """Clips whose captions are shown: drawn by the seed alone, never by how good they are."""
    count = len(captioned.clips.ids)
    return random.Random(recipe.seed).sample(range(count), min(recipe.sample_captions, count))
