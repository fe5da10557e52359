"""What an evaluation on scenes found, for programs (report.json) and for people (report.md, and tables on the terminal).

report.json is one object of strict JSON; `export` copies it into artifact.json and report.md into the model card. Keys:

- `artifact`, `split`, `device`, `seed`, `singles`, `scenes`: what was measured, on how many clips.
- `hearing`: {bridged, raw}, each {top_1, top_5, macro_top_1, recordings, sounds}: naming a single recording's sound.
- `retrieval`: {bridged, raw}, each {audio_to_text, text_to_audio: {r_at_1, r_at_5, r_at_10}, pairs, distinct_captions}.
- `events`: {singles, scenes}, each {bridged, raw}, each {recall, precision, macro_recall, macro_precision, ...}.
- `captions`: {singles, scenes}, each {bridged, raw}, each {cider_d, bleu_1 .. bleu_4, rouge_l, meteor, spice, spider, ...}.
- `left_out`: {metric: why it could not be computed here}.
- `gap`: {bridged, raw}, each {as_is, centred}, each {paired_cosine .. neighbourhood_overlap: {mean, sd}}.
- `samples`: {singles, scenes}, each a list of {id, truth, reference, caption, score, caption_raw}.
- `by_sound`: a list of {sound, recordings, right, right_in_5, right_raw, named, most_confused_with}.

`bridged` is what the service does, `raw` the same without the bridge. Shares are of 1; null means that there is no value.
"""

from collections.abc import Sequence
from typing import Generic

from models.evaluation.caption_metrics import CaptionScores
from models.evaluation.events import EventScores
from models.evaluation.gap import GapScores
from models.evaluation.hearing import HearingScores
from models.evaluation.more_metrics import left_out_note
from models.evaluation.report_tables import captions_table, gap_table, retrieval_table, with_and_without
from models.evaluation.retrieval import RetrievalScores
from models.evaluation.settings import Figures, Measured, Paired, Split
from models.evaluation.text_table import NONE, Page, TextTable, percent


class OfClips(Figures, Generic[Measured]):
    """The same measurement on single recordings and on scenes, with the bridge and without it."""

    singles: Paired[Measured]
    scenes: Paired[Measured]


class SoundRow(Figures):
    """How the test recordings of one sound fared."""

    sound: str
    recordings: int
    right: int
    """Recordings whose bridged embedding lies nearest to this sound's class embedding."""
    right_in_5: int
    right_raw: int
    """The same as `right`, without the bridge."""
    named: int
    """Recordings whose caption names this sound."""
    most_confused_with: str | None


class Sample(Figures):
    """One caption beside the truth."""

    id: str
    truth: tuple[str, ...]
    """The sounds that are there."""
    reference: str
    caption: str
    score: float
    caption_raw: str
    """What the decoder writes of the unbridged embedding."""


class Samples(Figures):
    """Captions chosen at random by the seed, never by how good they are."""

    singles: tuple[Sample, ...]
    scenes: tuple[Sample, ...]


class Report(Figures):
    """All that an evaluation measured."""

    artifact: str
    split: Split
    device: str
    seed: int
    singles: int
    scenes: int
    hearing: Paired[HearingScores]
    retrieval: Paired[RetrievalScores]
    events: OfClips[EventScores]
    captions: OfClips[CaptionScores]
    left_out: dict[str, str]
    gap: Paired[GapScores]
    samples: Samples
    by_sound: tuple[SoundRow, ...]


def report_page(report: Report) -> Page:
    """Put the report into words and tables."""
    head = (
        f"Measured on the {report.split} split ({report.singles} single recordings, {report.scenes} scenes) with "
        f"{report.artifact} on {report.device}, seed {report.seed}. Raw is the same without the bridge."
    )
    if report.left_out:
        head += f" {left_out_note(report.left_out)}"
    tables = [
        _hearing(report.hearing),
        retrieval_table(report.retrieval, "scenes"),
        _events(report.events),
        captions_table(_of_clips(report.captions)),
        gap_table(report.gap, "scenes"),
        _samples("Captions of single recordings chosen at random", report.samples.singles),
        _samples("Captions of scenes chosen at random", report.samples.scenes),
        _by_sound(report.by_sound),
    ]
    return Page(head, tables)


def _hearing(hearing: Paired[HearingScores]) -> TextTable:
    rows = [
        (name, percent(scores.top_1), percent(scores.top_5), percent(scores.macro_top_1))
        for name, scores in with_and_without(hearing)
    ]
    count = hearing.bridged.sounds
    chance = ("chance", percent(1 / count), percent(min(1.0, 5 / count)), percent(1 / count))
    title = f"Naming the sound of {hearing.bridged.recordings} single recordings among {count}"
    return TextTable(title, ("", "top 1", "top 5", "top 1, mean over sounds"), (*rows, chance))


def _of_clips(values: OfClips[Measured]) -> list[tuple[str, Measured]]:
    return [*with_and_without(values.singles, "single recordings, "), *with_and_without(values.scenes, "scenes, ")]


def _events(events: OfClips[EventScores]) -> TextTable:
    rows = [
        (
            name,
            *map(percent, (scores.recall, scores.precision, scores.macro_recall, scores.macro_precision)),
            f"{scores.captions_without_event} of {scores.clips}",
        )
        for name, scores in _of_clips(events)
    ]
    columns = ("", "recall", "precision", "recall, mean over sounds", "precision, mean over sounds", "captions naming none")
    return TextTable("Sounds that captions name", columns, tuple(rows))


def _samples(title: str, samples: Sequence[Sample]) -> TextTable:
    rows = [
        (", ".join(sample.truth), sample.reference, sample.caption, f"{sample.score:.2f}", sample.caption_raw)
        for sample in samples
    ]
    return TextTable(title, ("truth", "a reference", "caption", "score", "caption without the bridge"), tuple(rows))


def _by_sound(by_sound: Sequence[SoundRow]) -> TextTable:
    rows = [
        (
            row.sound.replace("_", " "),
            *map(str, (row.recordings, row.right, row.right_in_5, row.right_raw, row.named)),
            NONE if row.most_confused_with is None else row.most_confused_with.replace("_", " "),
        )
        for row in by_sound
    ]
    columns = ("sound", "recordings", "right", "right in 5", "right, raw", "named in caption", "most confused with")
    return TextTable("By sound", columns, tuple(rows))
