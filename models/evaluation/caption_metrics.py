"""Caption metrics against references: CIDEr-D, BLEU-1 to 4, ROUGE-L, and the size of the vocabulary; no Java.

The scorers are pycocoevalcap's, what the field's published numbers come from; its CIDEr is CIDEr-D. Its PTB tokenizer
needs Java, so captions are brought to lower case and stripped of punctuation here instead, which for our captions is the
same. CIDEr-D weighs words by how rare they are among the references given, so it depends on the size of the set.
"""

import contextlib
import importlib
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from models.errors import TrainingError
from models.evaluation.settings import Figures

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class CaptionSet(NamedTuple):
    """Captions, and each one's own references, row by row."""

    captions: list[str]
    references: list[list[str]]

    def tokenised(self) -> "CaptionSet":
        """The same as every metric is given them: words in lower case, a blank between two, no punctuation."""
        captions, references = self
        return CaptionSet(list(map(tokenised, captions)), [list(map(tokenised, texts)) for texts in references])


class MetricMissingError(Exception):
    """A metric cannot be computed here; the message is the reason, for the report."""


class CaptionScores(Figures):
    """How near captions come to their references; the scale is 0 to 1, for CIDEr-D 0 to 10."""

    cider_d: float
    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    rouge_l: float
    vocabulary: int
    """Different words in all captions together."""
    reference_vocabulary: int
    """Different words in all references together."""
    meteor: float | None = None
    """This and the three below are `more_metrics`'s; no value where they cannot be computed."""
    spice: float | None = None
    spider: float | None = None
    """The mean of CIDEr-D and SPICE."""
    fense: float | None = None


def words_of(text: str) -> list[str]:
    """Words in lower case without punctuation; hyphens and apostrophes inside a word stay."""
    return _WORD.findall(text.lower())


def tokenised(text: str) -> str:
    """The words of a text with a blank between two."""
    return " ".join(words_of(text))


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Score captions, each against its own references.

    Raises:
        TrainingError: the extra `train` is not installed, or there are fewer than two captions, or one has no reference.
    """
    if len(captions) < 2 or len(captions) != len(references) or not all(references):
        raise TrainingError("CIDEr-D needs two captions or more, and a reference or more for each of them")
    candidate_words = [words_of(caption) for caption in captions]
    reference_words = [[words_of(text) for text in texts] for texts in references]
    results = {index: [" ".join(words)] for index, words in enumerate(candidate_words)}
    truths = {index: [" ".join(words) for words in texts] for index, texts in enumerate(reference_words)}
    # pycocoevalcap prints its workings.
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = _scorer("bleu.bleu", "Bleu")(4).compute_score(truths, results, verbose=0)
        rouge, _ = _scorer("rouge.rouge", "Rouge")().compute_score(truths, results)
        cider, _ = _scorer("cider.cider", "Cider")().compute_score(truths, results)
    return CaptionScores(
        cider_d=float(cider),
        bleu_1=bleu[0],
        bleu_2=bleu[1],
        bleu_3=bleu[2],
        bleu_4=bleu[3],
        rouge_l=float(rouge),
        vocabulary=len({word for words in candidate_words for word in words}),
        reference_vocabulary=len({word for texts in reference_words for words in texts for word in words}),
    )


def check_available() -> None:
    """Find out early whether captions can be scored: they take longer to write than to score.

    Raises:
        TrainingError: the extra `train` is not installed.
    """
    _scorer("cider.cider", "Cider")


def _scorer(module: str, name: str) -> Any:
    try:
        with warnings.catch_warnings():
            # Its sources hold escapes that Python warns of when it compiles them.
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module(f"pycocoevalcap.{module}"), name)
    except ImportError as error:
        message = "caption metrics need pycocoevalcap: run `make setup`, or install this package with its extra `train`"
        raise TrainingError(f"{message} ({error})") from error
