"""What an evaluation found, for programs (report.json) and for people (report.md, and tables on the terminal).

report.json is one object of strict JSON; `export` copies it into artifact.json and report.md into the model card. Keys:

- `artifact`, `split`, `device`, `seed`, `singles`, `scenes`: what was measured, on how many clips.
- `hearing`: {bridged, raw}, each {top_1, top_5, macro_top_1, recordings, sounds}: naming a single recording's sound.
- `retrieval`: {bridged, raw}, each {audio_to_text, text_to_audio: {r_at_1, r_at_5, r_at_10}, pairs, distinct_captions}.
- `events`: {singles, scenes}, each {bridged, raw}, each {recall, precision, macro_recall, macro_precision, ...}.
- `captions`: {singles, scenes}, each {bridged, raw}, each {cider_d, bleu_1 .. bleu_4, rouge_l, vocabulary, ...}.
- `gap`: {bridged, raw}, each {as_is, centred}, each {paired_cosine .. neighbourhood_overlap: {mean, sd}}.
- `samples`: {singles, scenes}, each a list of {id, truth, reference, caption, score, caption_raw}.
- `by_sound`: a list of {sound, recordings, right, right_in_5, right_raw, named, most_confused_with}.

`bridged` is what the service does, `raw` the same without the bridge. Shares are of 1; null means that there is no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.evaluation.caption_metrics import CaptionScores
from models.evaluation.events import EventScores
from models.evaluation.gap import GapFigures, GapScores, Spread
from models.evaluation.hearing import HearingScores
from models.evaluation.retrieval import Recalls, RetrievalScores
from models.evaluation.settings import Figures, Measured, Paired, Split

_NONE = "–"


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
    gap: Paired[GapScores]
    samples: Samples
    by_sound: tuple[SoundRow, ...]


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text, before it is drawn for a terminal or written as Markdown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Write a GitHub table under a heading."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        cells = (tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in line) for line in lines)
        return "\n".join([f"### {self.title}", "", *(f"| {' | '.join(line)} |" for line in cells), ""])

    def rich(self) -> Table:
        """Draw for a terminal; numbers stand at the right."""
        table = Table(*self.columns[:1], title=self.title, title_justify="left")
        for number, column in enumerate(self.columns[1:], start=1):
            numeric = all(row[number][:1] in "-+0123456789–" for row in self.rows)
            table.add_column(column, justify="right" if numeric else "left")
        for row in self.rows:
            # As Text, brackets in a caption are no markup.
            table.add_row(*(Text(cell) for cell in row))
        return table


def print_report(report: Report, console: Console) -> None:
    """Print every table."""
    for table in tables(report):
        console.print(table.rich())


def markdown_report(report: Report) -> str:
    """Write every table as Markdown."""
    head = (
        f"Measured on the {report.split} split ({report.singles} single recordings, {report.scenes} scenes) with "
        f"{report.artifact} on {report.device}, seed {report.seed}. Raw is the same without the bridge."
    )
    return "\n".join([head, "", *(table.markdown() for table in tables(report))])


def tables(report: Report) -> list[TextTable]:
    """All tables, in the order in which they are shown."""
    return [
        _hearing(report.hearing),
        _retrieval(report.retrieval),
        _events(report.events),
        _captions(report.captions),
        _gap(report.gap),
        _samples("Captions of single recordings chosen at random", report.samples.singles),
        _samples("Captions of scenes chosen at random", report.samples.scenes),
        _by_sound(report.by_sound),
    ]


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f} %"


def _hearing(hearing: Paired[HearingScores]) -> TextTable:
    rows = [
        (name, _percent(scores.top_1), _percent(scores.top_5), _percent(scores.macro_top_1))
        for name, scores in (("bridged", hearing.bridged), ("raw", hearing.raw))
    ]
    count = hearing.bridged.sounds
    chance = ("chance", _percent(1 / count), _percent(min(1.0, 5 / count)), _percent(1 / count))
    title = f"Naming the sound of {hearing.bridged.recordings} single recordings among {count}"
    return TextTable(title, ("", "top 1", "top 5", "top 1, mean over sounds"), (*rows, chance))


def _retrieval(retrieval: Paired[RetrievalScores]) -> TextTable:
    def row(name: str, recalls: Recalls) -> tuple[str, ...]:
        return (name, *(_percent(share) for share in (recalls.r_at_1, recalls.r_at_5, recalls.r_at_10)))

    rows = [
        row(f"{way}, {name}", recalls)
        for name, scores in (("bridged", retrieval.bridged), ("raw", retrieval.raw))
        for way, recalls in (("audio → text", scores.audio_to_text), ("text → audio", scores.text_to_audio))
    ]
    scores = retrieval.bridged
    title = f"Retrieval among {scores.pairs} scenes by their first captions ({scores.distinct_captions} of them different)"
    return TextTable(title, ("", "R@1", "R@5", "R@10"), tuple(rows))


def _of_clips(values: OfClips[Measured]) -> list[tuple[str, Measured]]:
    return [
        (f"{clips}, {name}", scores)
        for clips, pair in (("single recordings", values.singles), ("scenes", values.scenes))
        for name, scores in (("bridged", pair.bridged), ("raw", pair.raw))
    ]


def _events(events: OfClips[EventScores]) -> TextTable:
    rows = [
        (
            name,
            *map(_percent, (scores.recall, scores.precision, scores.macro_recall, scores.macro_precision)),
            f"{scores.captions_without_event} of {scores.clips}",
        )
        for name, scores in _of_clips(events)
    ]
    columns = ("", "recall", "precision", "recall, mean over sounds", "precision, mean over sounds", "captions naming none")
    return TextTable("Sounds that captions name", columns, tuple(rows))


def _captions(captions: OfClips[CaptionScores]) -> TextTable:
    rows = [
        (
            name,
            *(f"{value:.3f}" for value in (scores.cider_d, scores.bleu_1, scores.bleu_4, scores.rouge_l)),
            f"{scores.vocabulary} ({scores.reference_vocabulary})",
        )
        for name, scores in _of_clips(captions)
    ]
    columns = ("", "CIDEr-D", "BLEU-1", "BLEU-4", "ROUGE-L", "different words (references')")
    return TextTable("Captions against their references", columns, tuple(rows))


def _gap(gap: Paired[GapScores]) -> TextTable:
    sides = (gap.bridged.as_is, gap.raw.as_is, gap.bridged.centred, gap.raw.centred)

    def cell(spread: Spread) -> str:
        return f"{spread.mean:.3f} ± {spread.sd:.3f}"

    rows = [(name.replace("_", " "), *(cell(getattr(side, name)) for side in sides)) for name in GapFigures.model_fields]
    columns = ("", "bridged", "raw", "bridged, means removed", "raw, means removed")
    return TextTable("Modality gap between scenes and their first captions (± over seeds)", columns, tuple(rows))


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
            _NONE if row.most_confused_with is None else row.most_confused_with.replace("_", " "),
        )
        for row in by_sound
    ]
    columns = ("sound", "recordings", "right", "right in 5", "right, raw", "named in caption", "most confused with")
    return TextTable("By sound", columns, tuple(rows))
