"""evaluate for a data set: the clips that corpus/ lists, heard and captioned as the service does, and measured.

What cannot be decoded is left out and counted, as `embed` does, up to the bound of the recipe.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.errors import TrainingError
from models.evaluation.both_sides import chosen_rows, gap_both, retrieval_both, score_both
from models.evaluation.clips import Advance, Captioned, Clips
from models.evaluation.data_report import ClipSample, DataReport
from models.evaluation.settings import EvaluateRecipe, Split
from models.evaluation.texts import TextEmbedder
from models.pipeline import Pipeline
from models.training.data_recipe import DataRecipe
from models.training.datasets import BadClip, Clip, check_bad_share, check_unchanged, count_bad, read_listed
from models.training.embed_clips import Windows, decode_clips, embed_by_windows

_MIN_CLIPS = 4
"""The fewest that a modality gap can be measured of."""


def read_data_clips(corpus: Path, split: Split) -> list[Clip]:
    """Read which clips a split has.

    Raises:
        TrainingError: they are not listed, or their audio is not what was listed.
    """
    check_unchanged(corpus, split)
    return read_listed(corpus, split)


def listen_to_data(
    pipeline: Pipeline, listed: Sequence[Clip], batch_size: int, advance: Advance
) -> tuple[Clips, list[BadClip]]:
    """Embed clips as the service does; the second is what cannot be decoded, and so is in none of the first.

    Raises:
        TrainingError: too few can be decoded.
    """
    heard: list[Clip] = []
    bad: list[BadClip] = []

    def decoded() -> Iterator[Windows]:
        for clip, windows in zip(listed, decode_clips(listed), strict=True):
            if isinstance(windows, BadClip):
                bad.append(windows)
                advance(1)
            else:
                heard.append(clip)
                yield windows

    raw = embed_by_windows(pipeline.embed_audio, decoded(), batch_size, advance)
    if len(heard) < _MIN_CLIPS:
        first = "".join(f" ({one.id}: {one.reason})" for one in bad[:1])
        raise TrainingError(f"{len(heard)} of {len(listed)} clips can be decoded; an evaluation needs {_MIN_CLIPS}{first}")
    return Clips([clip.id for clip in heard], [()] * len(heard), [clip.captions for clip in heard], np.stack(raw)), bad


def check_unusable(recipe: DataRecipe, corpus: Path, split: Split, listed: int, bad: Sequence[BadClip]) -> int:
    """Count the clips of a split that are missing or cannot be decoded, against the bound of the recipe.

    Raises:
        RecipeError: they are too many.
    """
    missing = count_bad(corpus, split)
    check_bad_share(f"the part {split} of {recipe.folder}", bad, missing, listed + missing, recipe.max_bad_share)
    return missing + len(bad)


def measure_data(
    pipeline: Pipeline,
    texts: TextEmbedder,
    recipe: EvaluateRecipe,
    captioned: Captioned,
    split: Split,
    *,
    data: str,
    unusable: int,
) -> DataReport:
    """Measure everything; `data` is the kind of data set."""
    clips = captioned.clips
    first_captions = [references[0] for references in clips.references]
    sides = texts.embed(first_captions)
    (captions,), left_out = score_both(captioned)
    samples = (
        ClipSample(
            id=clips.ids[row],
            reference=first_captions[row],
            caption=captioned.captions[row].caption,
            score=captioned.captions[row].score,
            caption_raw=captioned.captions_raw[row].caption,
        )
        for row in chosen_rows(captioned, recipe)
    )
    return DataReport(
        artifact=f"{pipeline.manifest.name} {pipeline.manifest.version}",
        split=split,
        device=pipeline.device_name,
        seed=recipe.seed,
        data=data,
        clips=len(clips.ids),
        unusable=unusable,
        retrieval=retrieval_both(captioned, sides, first_captions),
        captions=captions,
        left_out=left_out,
        gap=gap_both(pipeline, captioned, sides, recipe),
        samples=tuple(samples),
    )
