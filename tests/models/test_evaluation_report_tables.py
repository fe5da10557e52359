"""Tables that two reports share: columns of metrics that are there alone."""

from models.evaluation.caption_metrics import CaptionScores
from models.evaluation.report_tables import captions_table

_SCORES = CaptionScores(
    cider_d=1.0, bleu_1=0.5, bleu_2=0.4, bleu_3=0.3, bleu_4=0.25, rouge_l=0.75, vocabulary=7, reference_vocabulary=9
)


def test_a_metric_that_is_missing_everywhere_has_no_column() -> None:
    table = captions_table([("a", _SCORES)])
    assert table.columns == ("", "CIDEr-D", "BLEU-1", "BLEU-4", "ROUGE-L", "different words (references')")
    assert table.rows == (("a", "1.000", "0.500", "0.250", "0.750", "7 (9)"),)


def test_metrics_that_are_there_stand_beside_the_others() -> None:
    table = captions_table([("a", _SCORES.model_copy(update={"meteor": 0.125, "fense": 0.5}))])
    assert table.columns[5:7] == ("METEOR", "FENSE")
    assert table.rows[0][5:7] == ("0.125", "0.500")
