"""What an evaluation on a data set's clips found, for programs (report.json) and for people (report.md, the terminal).

report.json is one object of strict JSON; `export` copies it into artifact.json and report.md into the model card. Keys:

- `artifact`, `split`, `device`, `seed`, `data`, `clips`: what was measured, on how many clips of which kind of data set.
- `unusable`: clips of the split that are missing or cannot be decoded, and so are in no figure.
- `retrieval`: {bridged, raw}, each {audio_to_text, text_to_audio: {r_at_1, r_at_5, r_at_10}, pairs, distinct_captions}.
- `captions`: {bridged, raw}, each {cider_d, bleu_1 .. bleu_4, rouge_l, meteor, spice, spider, fense, vocabulary, ...}.
- `left_out`: {metric: why it could not be computed here}.
- `gap`: {bridged, raw}, each {as_is, centred}, each {paired_cosine .. neighbourhood_overlap: {mean, sd}}.
- `samples`: a list of {id, reference, caption, score, caption_raw}.

`bridged` is what the service does, `raw` the same without the bridge. Shares are of 1; null means that there is no value.
Captions are scored against all references of a clip; retrieval and gap are of each clip and its first caption.
"""

from collections.abc import Sequence

from models.evaluation.caption_metrics import CaptionScores
from models.evaluation.gap import GapScores
from models.evaluation.more_metrics import left_out_note
from models.evaluation.report_tables import captions_table, gap_table, retrieval_table, with_and_without
from models.evaluation.retrieval import RetrievalScores
from models.evaluation.settings import Figures, Paired, Split
from models.evaluation.text_table import Page, TextTable


class ClipSample(Figures):
    """One caption beside the first of its references."""

    id: str
    reference: str
    caption: str
    score: float
    caption_raw: str
    """What the decoder writes of the unbridged embedding."""


class DataReport(Figures):
    """All that an evaluation measured."""

    artifact: str
    split: Split
    device: str
    seed: int
    data: str
    clips: int
    unusable: int
    retrieval: Paired[RetrievalScores]
    captions: Paired[CaptionScores]
    left_out: dict[str, str]
    gap: Paired[GapScores]
    samples: tuple[ClipSample, ...]


def data_report_page(report: DataReport) -> Page:
    """Put the report into words and tables."""
    unusable = f" {report.unusable} more are missing or cannot be decoded." if report.unusable else ""
    head = (
        f"Measured on {report.clips} clips of the {report.split} split ({report.data}) with {report.artifact} on "
        f"{report.device}, seed {report.seed}.{unusable} Raw is the same without the bridge."
    )
    if report.left_out:
        head += f" {left_out_note(report.left_out)}"
    tables = [
        retrieval_table(report.retrieval, "clips"),
        captions_table(with_and_without(report.captions)),
        gap_table(report.gap, "clips"),
        _samples(report.samples),
    ]
    return Page(head, tables)


def _samples(samples: Sequence[ClipSample]) -> TextTable:
    rows = [(one.id, one.reference, one.caption, f"{one.score:.2f}", one.caption_raw) for one in samples]
    columns = ("clip", "a reference", "caption", "score", "caption without the bridge")
    return TextTable("Captions of clips chosen at random", columns, tuple(rows))
