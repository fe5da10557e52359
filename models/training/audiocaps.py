"""AudioCaps (Kim et al. 2019): captions of ten seconds of YouTube videos, in train.csv, val.csv and test.csv.

A row is a caption: audiocap_id, youtube_id, start_time, caption. A clip has one in train, and five in val and test. The
audio comes from YouTube, one file a clip, and part of it is gone for good (audiocaps-download found 45,187 of 49,838 in
2023). It may lie in train/, val/ and test/, or in the same under a folder audio…/ (audio_32000Hz/, as aac-datasets has
it), or all in one folder audio…/. Names are those of the usual downloaders:

    r1nicOVtvkQ_130      aac-datasets: the start in seconds
    91139                audiocaps-download: the audiocap_id (one of a clip's five will do)
    r1nicOVtvkQ, Yr1nicOVtvkQ                       the video alone; AudioSet has one segment a video
    r1nicOVtvkQ_130_140, r1nicOVtvkQ_000130         start and end; the start as VGGSound has it
    r1nicOVtvkQ_130000, r1nicOVtvkQ_130000_140000   milliseconds, as AudioSet has them
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from models.errors import RecipeError
from models.training.clip_sources import AudioFiles, DataSettings, make_clip, read_table, unique
from models.training.datasets import BadClip, Clip, DataPart

_SPLITS: dict[DataPart, str] = {"bridge": "train", "validation": "val", "test": "test"}
_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
_CLIP_S = 10


class AudioCapsRecipe(DataSettings):
    """AudioCaps on disk."""

    kind: Literal["audiocaps"]


@dataclass(slots=True)
class _Rows:
    """The rows of one clip."""

    ids: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)


def read_audiocaps(recipe: AudioCapsRecipe, part: DataPart) -> Iterator[Clip | BadClip]:
    """Read a part, the clips in the order of their first rows.

    Raises:
        RecipeError: the table is wrong; the message says where.
    """
    split = _SPLITS[part]
    clips: dict[tuple[str, int], _Rows] = {}
    seen: set[str] = set()
    for where, row in read_table(recipe.folder / f"{split}.csv", _COLUMNS):
        rows = clips.setdefault((_youtube_id(row["youtube_id"], where), _start_s(row["start_time"], where)), _Rows())
        rows.ids.append(unique(row["audiocap_id"], seen, where))
        rows.captions.append(row["caption"])
    above = sorted(recipe.folder.glob("audio*"))
    files = AudioFiles([recipe.folder / split, *(folder / split for folder in above), *above])
    for (youtube_id, start_s), rows in clips.items():
        audio = files.find(_names(youtube_id, start_s, rows.ids))
        yield make_clip(f"{youtube_id}_{start_s}", audio, rows.captions)


def _names(youtube_id: str, start_s: int, audiocap_ids: list[str]) -> Iterator[str]:
    end_s = start_s + _CLIP_S
    yield f"{youtube_id}_{start_s}"
    yield f"{youtube_id}_{start_s}_{end_s}"
    yield f"{youtube_id}_{start_s:06d}"
    yield f"{youtube_id}_{1_000 * start_s}"
    yield f"{youtube_id}_{1_000 * start_s}_{1_000 * end_s}"
    yield youtube_id
    yield f"Y{youtube_id}"
    yield from audiocap_ids


def _youtube_id(text: str, where: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise RecipeError(f"{where}: {text!r} is not the id of a video")
    return text


def _start_s(text: str, where: str) -> int:
    # Tables that went through pandas have 130.0.
    if not re.fullmatch(r"\d{1,6}(\.0*)?", text, re.ASCII):
        raise RecipeError(f"{where}: a start_time of {text!r} is not a whole number of seconds")
    return int(float(text))
