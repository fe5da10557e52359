"""Which sounds a caption names, and how well that agrees with the sounds that are there: event recall and precision.

A caption is read from left to right for the longest phrase of the sound table that begins at each word, so "an alarm
clock is ringing" is no clock. The words between phrases ("and then", "while") name nothing. A phrase that several sounds
share names every one of them: it finds whichever is there, and is right if any of them is.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from models.evaluation.caption_metrics import words_of
from models.evaluation.settings import Figures

Mention = frozenset[str]
"""What one phrase can mean: the sounds that have it."""


class EventScores(Figures):
    """Agreement of named and true sounds. Precision has no value where no caption names a sound."""

    recall: float
    """Of all true sounds of all clips, the share that their captions name."""
    precision: float | None
    """Of all mentions in all captions, the share that is true."""
    macro_recall: float
    """Mean over the true sounds of each one's recall, so that frequent sounds do not outweigh rare ones."""
    macro_precision: float | None
    """Mean over the named sounds of each one's precision."""
    captions_without_event: int
    """Captions in which no phrase was found."""
    clips: int


class EventReader:
    """Reads the sounds off a caption, given each sound's phrases."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        """Index the phrases by their words."""
        meanings: defaultdict[str, set[str]] = defaultdict(set)
        for sound, texts in phrases.items():
            for text in texts:
                meanings[" ".join(words_of(text))].add(sound)
        meanings.pop("", None)
        self._meanings = {phrase: frozenset(sounds) for phrase, sounds in meanings.items()}
        longest_first = sorted(self._meanings, key=lambda phrase: (-len(phrase), phrase))
        self._pattern = re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, longest_first))})(?!\S)") if longest_first else None

    def mentions(self, caption: str) -> set[Mention]:
        """What the caption names; two phrases for the same sound are one mention."""
        found = self._pattern.findall(" ".join(words_of(caption))) if self._pattern else []
        return {self._meanings[phrase] for phrase in found}

    def sounds(self, caption: str) -> set[str]:
        """All sounds that the caption names."""
        return set().union(*self.mentions(caption))


def score_events(reader: EventReader, captions: Sequence[str], truths: Sequence[Iterable[str]]) -> EventScores:
    """Compare what each caption names with the sounds that are truly there.

    Raises:
        ValueError: there is no clip, a clip without a true sound, or not one caption for each clip.
    """
    true_sets = [set(sounds) for sounds in truths]
    if not true_sets or not all(true_sets) or len(captions) != len(true_sets):
        raise ValueError("every clip needs a caption and a true sound, and there must be a clip")
    true, found, named, right = (Counter[str]() for _ in range(4))
    mentions_in_all = right_mentions = silent = 0
    for caption, sounds in zip(captions, true_sets, strict=True):
        mentions = reader.mentions(caption)
        true.update(sounds)
        found.update(sounds & set().union(*mentions))
        for mention in mentions:
            named.update(mention)
            right.update(mention if mention & sounds else ())
        mentions_in_all += len(mentions)
        right_mentions += sum(bool(mention & sounds) for mention in mentions)
        silent += not mentions
    return EventScores(
        recall=found.total() / true.total(),
        precision=right_mentions / mentions_in_all if mentions_in_all else None,
        macro_recall=sum(found[sound] / true[sound] for sound in true) / len(true),
        macro_precision=sum(right[sound] / named[sound] for sound in named) / len(named) if named else None,
        captions_without_event=silent,
        clips=len(true_sets),
    )
