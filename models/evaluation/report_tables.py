"""Tables that the reports of scenes and of data sets share: retrieval, captions against references, modality gap."""

from collections.abc import Sequence

from models.evaluation.caption_metrics import CaptionScores
from models.evaluation.gap import GapFigures, GapScores, Spread
from models.evaluation.more_metrics import MORE_METRICS
from models.evaluation.retrieval import Recalls, RetrievalScores
from models.evaluation.settings import Measured, Paired
from models.evaluation.text_table import TextTable, percent


def with_and_without(values: Paired[Measured], prefix: str = "") -> list[tuple[str, Measured]]:
    """Names of rows, and what stands in them: with the bridge and without it."""
    return [(f"{prefix}bridged", values.bridged), (f"{prefix}raw", values.raw)]


def retrieval_table(retrieval: Paired[RetrievalScores], clips: str) -> TextTable:
    """Recalls both ways; `clips` is what stands on the audio side, in the plural."""

    def row(name: str, recalls: Recalls) -> tuple[str, ...]:
        return (name, *(percent(share) for share in (recalls.r_at_1, recalls.r_at_5, recalls.r_at_10)))

    rows = [
        row(f"{way}, {name}", recalls)
        for name, scores in with_and_without(retrieval)
        for way, recalls in (("audio → text", scores.audio_to_text), ("text → audio", scores.text_to_audio))
    ]
    scores = retrieval.bridged
    title = f"Retrieval among {scores.pairs} {clips} by their first captions ({scores.distinct_captions} of them different)"
    return TextTable(title, ("", "R@1", "R@5", "R@10"), tuple(rows))


def captions_table(named: Sequence[tuple[str, CaptionScores]]) -> TextTable:
    """A row for each of the scores; of the metrics that not every machine has, those that are there."""
    more = [name for name in MORE_METRICS if any(getattr(scores, name) is not None for _, scores in named)]
    names = ["cider_d", "bleu_1", "bleu_4", "rouge_l", *more]
    rows = [
        (
            row,
            *(f"{getattr(scores, name):.3f}" for name in names),
            f"{scores.vocabulary} ({scores.reference_vocabulary})",
        )
        for row, scores in named
    ]
    titles = ("CIDEr-D", "BLEU-1", "BLEU-4", "ROUGE-L", *(MORE_METRICS[name] for name in more))
    return TextTable("Captions against their references", ("", *titles, "different words (references')"), tuple(rows))


def gap_table(gap: Paired[GapScores], clips: str) -> TextTable:
    """Every figure of the gap, as is and with means removed; `clips` as in `retrieval_table`."""
    sides = (gap.bridged.as_is, gap.raw.as_is, gap.bridged.centred, gap.raw.centred)

    def cell(spread: Spread) -> str:
        return f"{spread.mean:.3f} ± {spread.sd:.3f}"

    rows = [(name.replace("_", " "), *(cell(getattr(side, name)) for side in sides)) for name in GapFigures.model_fields]
    columns = ("", "bridged", "raw", "bridged, means removed", "raw, means removed")
    return TextTable(f"Modality gap between {clips} and their first captions (± over seeds)", columns, tuple(rows))
