"""Every caption metric that can be computed here: those of `caption_metrics`, and METEOR, SPICE, SPIDEr and FENSE.

METEOR needs Java, SPICE and FENSE need aac-metrics. A metric that cannot be computed is left out, and the reason told; none
makes an evaluation fail, and none downloads anything.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.evaluation.aac import score_aac
from models.evaluation.caption_metrics import CaptionScores, CaptionSet, MetricMissingError, score_captions
from models.evaluation.meteor import score_meteor

MORE_METRICS = {"meteor": "METEOR", "spice": "SPICE", "spider": "SPIDEr", "fense": "FENSE"}
"""Key in a report, and what people call it."""


class ScoredSets(NamedTuple):
    """The scores of each set of captions, and why a metric is in none of them."""

    scores: list[CaptionScores]
    left_out: dict[str, str]
    """Key of `MORE_METRICS` → reason."""


def score_sets(sets: Sequence[CaptionSet]) -> ScoredSets:
    """Score sets of captions by all metrics; together, since METEOR and FENSE take longer to start than to score.

    Raises:
        TrainingError: as `score_captions` does.
    """
    scores = [score_captions(*one) for one in sets]
    words = [one.tokenised() for one in sets]
    figures, left_out = score_aac(words)
    try:
        figures["meteor"] = score_meteor(words)
    except MetricMissingError as error:
        left_out["meteor"] = str(error)
    if "spice" in figures:
        figures["spider"] = [(one.cider_d + spice) / 2 for one, spice in zip(scores, figures["spice"], strict=True)]
    else:
        left_out["spider"] = "it is the mean of CIDEr-D and SPICE"
    rows = [{name: values[row] for name, values in figures.items()} for row in range(len(sets))]
    merged = [one.model_copy(update=more) for one, more in zip(scores, rows, strict=True)]
    return ScoredSets(merged, {name: left_out[name] for name in MORE_METRICS if name in left_out})


def left_out_note(left_out: Mapping[str, str]) -> str:
    """One sentence for a report, metrics of one reason together; empty where nothing is left out."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(MORE_METRICS[name])
    parts = [f"{' and '.join(names)} ({reason})" for reason, names in by_reason.items()]
    return f"Left out: {', '.join(parts)}." if parts else ""
