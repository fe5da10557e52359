"""From captioned recordings and scenes to the report: every measurement, with the bridge and without it, the rest equal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.evaluation.both_sides import chosen_rows, gap_both, retrieval_both, score_both
from models.evaluation.caption_metrics import CaptionScores
from models.evaluation.clips import Captioned
from models.evaluation.events import EventReader, EventScores, score_events
from models.evaluation.hearing import HeardSound, HearingScores, class_embeddings, name_sounds
from models.evaluation.report import OfClips, Report, Sample, Samples, SoundRow
from models.evaluation.settings import EvaluateRecipe, Paired, Split
from models.evaluation.texts import TextEmbedder
from models.pipeline import Pipeline

Phrases = Mapping[str, Sequence[str]]
"""The table of sounds: the phrases of each."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Everything that is measured of one artifact on the scenes and recordings of one split."""

    pipeline: Pipeline
    texts: TextEmbedder
    phrases: Phrases
    recipe: EvaluateRecipe
    singles: Captioned
    scenes: Captioned

    def report(self, split: Split) -> Report:
        """Measure everything."""
        hearing, by_sound = self._hearing()
        first_captions = [texts[0] for texts in self.scenes.clips.references]
        texts = self.texts.embed(first_captions)
        (singles, scenes), left_out = score_both(self.singles, self.scenes)
        return Report(
            artifact=f"{self.pipeline.manifest.name} {self.pipeline.manifest.version}",
            split=split,
            device=self.pipeline.device_name,
            seed=self.recipe.seed,
            singles=len(self.singles.clips.ids),
            scenes=len(self.scenes.clips.ids),
            hearing=hearing,
            retrieval=retrieval_both(self.scenes, texts, first_captions),
            events=OfClips[EventScores](singles=self._events(self.singles), scenes=self._events(self.scenes)),
            captions=OfClips[CaptionScores](singles=singles, scenes=scenes),
            left_out=left_out,
            gap=gap_both(self.pipeline, self.scenes, texts, self.recipe),
            samples=Samples(singles=self._samples(self.singles), scenes=self._samples(self.scenes)),
            by_sound=by_sound,
        )

    def _hearing(self) -> tuple[Paired[HearingScores], tuple[SoundRow, ...]]:
        classes = self.texts.sides(lambda embed: class_embeddings(self.phrases, embed))
        clips, sounds = self.singles.clips, list(self.phrases)
        truths = [sound for (sound,) in clips.truths]
        bridged, heard = name_sounds(self.singles.bridged, classes.bridged, sounds, truths)
        raw, heard_raw = name_sounds(clips.raw, classes.raw, sounds, truths)
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

    def _samples(self, captioned: Captioned) -> tuple[Sample, ...]:
        """Captions drawn by the seed alone."""
        clips = captioned.clips
        return tuple(
            Sample(
                id=clips.ids[index],
                truth=clips.truths[index],
                reference=clips.references[index][0],
                caption=captioned.captions[index].caption,
                score=captioned.captions[index].score,
                caption_raw=captioned.captions_raw[index].caption,
            )
            for index in chosen_rows(captioned, self.recipe)
        )


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
