"""From the captions of a comparison to its figures: spreads over seeds, gains over no bridge, margins over rivals.

Gains and margins are taken seed by seed, then summed up: bridges under one seed share what is random of it, and zero-shot
their decoder where it is not their own, so their differences spread less than they do.
"""

import statistics
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from models.evaluation.caption_comparison import Setting
from models.evaluation.caption_metrics import CaptionScores, CaptionSet, words_of
from models.evaluation.caption_results import CaptionedBridge, CaptionFigures, Margin, ReferenceFigures
from models.evaluation.events import EventReader, score_events
from models.evaluation.gap import Spread, spreads
from models.evaluation.gap_report import OURS, PLAIN
from models.evaluation.more_metrics import score_sets
from models.training.scenes import SceneRecord


class MeasuredRuns(NamedTuple):
    """One bridge in one setting: figures over the seeds, and CIDEr-D under each."""

    figures: CaptionFigures
    cider_d_by_seed: tuple[float, ...]


Runs = Sequence[Sequence[str]]
"""What is written behind one bridge in one setting: under each seed, a caption for every scene."""


def measure_captions(
    rivals: Sequence[Runs], records: Sequence[SceneRecord], reader: EventReader
) -> tuple[list[MeasuredRuns], dict[str, str]]:
    """Measure all rivals together; the second says which metrics are in none of the figures, and why.

    Raises:
        TrainingError: there are fewer than two scenes, or the extra `train` is not installed.
    """
    references = [list(record.captions) for record in records]
    scored = score_sets([CaptionSet(list(captions), references) for runs in rivals for captions in runs])
    scores = iter(scored.scores)
    measured = [_measured(runs, list(islice(scores, len(runs))), records, reader) for runs in rivals]
    return measured, scored.left_out


def _measured(
    runs: Runs, scores: Sequence[CaptionScores], records: Sequence[SceneRecord], reader: EventReader
) -> MeasuredRuns:
    figures: list[dict[str, float | None]] = []
    for captions, score in zip(runs, scores, strict=True):
        events = score_events(reader, captions, [record.sounds for record in records])
        agreement = score.model_dump(exclude={"reference_vocabulary"})
        named = {"event_recall": events.recall, "event_precision": events.precision}
        length = {"vocabulary": float(score.vocabulary), "words": _mean_words(captions)}
        figures.append(agreement | named | length)
    over_seeds = {name: _spread_of_all([run[name] for run in figures]) for name in figures[0]}
    return MeasuredRuns(CaptionFigures.model_validate(over_seeds), tuple(score.cider_d for score in scores))


def measure_references(records: Sequence[SceneRecord]) -> ReferenceFigures:
    """The references' own figures."""
    references = [caption for record in records for caption in record.captions]
    vocabulary = {word for text in references for word in words_of(text)}
    return ReferenceFigures(count=len(references), vocabulary=len(vocabulary), words=_mean_words(references))


def with_gains(bridges: Sequence[CaptionedBridge]) -> list[CaptionedBridge]:
    """The bridges of one setting, with the gain of each over the identity among them."""
    plain = next((bridge.cider_d_by_seed for bridge in bridges if bridge.kind == PLAIN), ())
    if not plain:
        return list(bridges)
    return [bridge.model_copy(update={"gain": _gain(bridge.cider_d_by_seed, plain)}) for bridge in bridges]


def _gain(ours: Sequence[float], plain: Sequence[float]) -> Spread | None:
    """What is gained over the other scores in per cent, seed by seed; no value where one of them is 0."""
    if not all(plain):
        return None
    return _spread([100 * (one / other - 1) for one, other in zip(ours, plain, strict=True)])


def margins(setting: Setting, bridges: Sequence[CaptionedBridge]) -> list[Margin]:
    """CIDEr-D of every Diffusion-Link among the bridges of one setting, less that of every other bridge."""
    return [_margin(setting, ours, rival) for ours in bridges if ours.kind == OURS for rival in bridges if rival is not ours]


def _margin(setting: Setting, ours: CaptionedBridge, rival: CaptionedBridge) -> Margin:
    pairs = zip(ours.cider_d_by_seed, rival.cider_d_by_seed, strict=True)
    difference = _spread([one - other for one, other in pairs])
    sds = difference.mean / difference.sd if difference.sd > 0 else None
    return Margin(setting=setting, ours=ours.name, rival=rival.name, difference=difference, sds=sds)


def _spread_of_all(values: Sequence[float | None]) -> Spread | None:
    """The spread over the seeds; no value where one of them has none."""
    there = [value for value in values if value is not None]
    return _spread(there) if len(there) == len(values) else None


def _spread(values: Sequence[float]) -> Spread:
    return spreads([{"value": value} for value in values])["value"]


def _mean_words(texts: Sequence[str]) -> float:
    return statistics.fmean(len(words_of(text)) for text in texts)
