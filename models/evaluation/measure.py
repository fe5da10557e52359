"""From captioned clips to the report: every measurement, with the bridge and without it, the rest equal."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from models.evaluation.caption_metrics import CaptionScores, score_captions
from models.evaluation.clips import Captioned, bridge_with_seed
from models.evaluation.events import EventReader, EventScores, score_events
from models.evaluation.gap import GapScores, measure_gap
from models.evaluation.hearing import HeardSound, HearingScores, class_embeddings, name_sounds
from models.evaluation.report import OfClips, Report, Sample, Samples, SoundRow
from models.evaluation.retrieval import RetrievalScores, score_retrieval
from models.evaluation.settings import EvaluateRecipe, Paired, Split
from models.pipeline import Pipeline

Phrases = Mapping[str, Sequence[str]]
"""The table of sounds: the phrases of each."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Everything that is measured of one artifact on one split."""

    pipeline: Pipeline
    phrases: Phrases
    recipe: EvaluateRecipe
    singles: Captioned
    scenes: Captioned

    def report(self, split: Split) -> Report:
        """Measure everything."""
        hearing, by_sound = self._hearing()
        first_captions = [texts[0] for texts in self.scenes.clips.references]
        texts = self._embed_texts(first_captions)
        return Report(
            artifact=f"{self.pipeline.manifest.name} {self.pipeline.manifest.version}",
            split=split,
            device=self.pipeline.device_name,
            seed=self.recipe.seed,
            singles=len(self.singles.clips.ids),
            scenes=len(self.scenes.clips.ids),
            hearing=hearing,
            retrieval=Paired[RetrievalScores](
                bridged=score_retrieval(self.scenes.bridged, texts, first_captions),
                raw=score_retrieval(self.scenes.clips.raw, texts, first_captions),
            ),
            events=OfClips[EventScores](singles=self._events(self.singles), scenes=self._events(self.scenes)),
            captions=OfClips[CaptionScores](singles=_score(self.singles), scenes=_score(self.scenes)),
            gap=self._gap(texts),
            samples=Samples(singles=self._samples(self.singles), scenes=self._samples(self.scenes)),
            by_sound=by_sound,
        )

    def _embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Embed texts, equal ones once, so that they get equal embeddings."""
        row = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        return self.pipeline.embed_texts(list(row))[[row[text] for text in texts]]

    def _hearing(self) -> tuple[Paired[HearingScores], tuple[SoundRow, ...]]:
        classes = class_embeddings(self.phrases, self._embed_texts)
        clips, sounds = self.singles.clips, list(self.phrases)
        truths = [sound for (sound,) in clips.truths]
        bridged, heard = name_sounds(self.singles.bridged, classes, sounds, truths)
        raw, heard_raw = name_sounds(clips.raw, classes, sounds, truths)
        reader = EventReader(self.phrases)
        named = Counter(
            truth
            for truth, caption in zip(truths, self.singles.captions, strict=True)
            if truth in reader.sounds(caption.caption)
        )
        rows = [_sound_row(ours, plain, named[ours.sound]) for ours, plain in zip(heard, heard_raw, strict=True)]
        rows.sort(key=lambda row: row.sound)
        return Paired[HearingScores](bridged=bridged, raw=raw), tuple(rows)

    def _events(self, captioned: Captioned) -> Paired[EventScores]:
        reader, truths = EventReader(self.phrases), captioned.clips.truths
        bridged, raw = (
            score_events(reader, [written.caption for written in captions], truths)
            for captions in (captioned.captions, captioned.captions_raw)
        )
        return Paired[EventScores](bridged=bridged, raw=raw)

    def _gap(self, texts: Float32[np.ndarray, "pairs dim"]) -> Paired[GapScores]:
        clips = self.scenes.clips
        seeds = [self.recipe.seed + run for run in range(self.recipe.gap_seeds)]
        return Paired[GapScores](
            bridged=measure_gap(lambda seed: bridge_with_seed(self.pipeline, clips.raw, seed), texts, seeds),
            raw=measure_gap(lambda seed: clips.raw, texts, seeds),
        )

    def _samples(self, captioned: Captioned) -> tuple[Sample, ...]:
        """Captions drawn by the seed alone."""
        clips = captioned.clips
        count = min(self.recipe.sample_captions, len(clips.ids))
        chosen = random.Random(self.recipe.seed).sample(range(len(clips.ids)), count)
        return tuple(
            Sample(
                id=clips.ids[index],
                truth=clips.truths[index],
                reference=clips.references[index][0],
                caption=captioned.captions[index].caption,
                score=captioned.captions[index].score,
                caption_raw=captioned.captions_raw[index].caption,
            )
            for index in chosen
        )


def _score(captioned: Captioned) -> Paired[CaptionScores]:
    bridged, raw = (
        score_captions([written.caption for written in captions], captioned.clips.references)
        for captions in (captioned.captions, captioned.captions_raw)
    )
    return Paired[CaptionScores](bridged=bridged, raw=raw)


def _sound_row(bridged: HeardSound, raw: HeardSound, named: int) -> SoundRow:
    return SoundRow(
        sound=bridged.sound,
        recordings=bridged.recordings,
        right=bridged.right,
        right_in_5=bridged.right_in_5,
        right_raw=raw.right,
        named=named,
        most_confused_with=bridged.most_confused_with,
    )
