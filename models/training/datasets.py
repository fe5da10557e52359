"""The clips of a data set as every later stage reads them: corpus/<part>/clips.jsonl, which `corpus` writes.

A line holds a clip's id, its audio file, its captions, and the size of the file. The size stands for the content: a sum
over the audio would read 40 GB of AudioCaps before every stage. A file that was exchanged for another one of the same
size goes unnoticed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.errors import RecipeError, TrainingError
from models.training.folders import write_whole

CLIPS_FILE = "clips.jsonl"
BAD_FILE = "bad.jsonl"
"""Beside it: what the tables name and cannot be used, and why."""
_NAMED_BAD = 10

DataPart = Literal["bridge", "validation", "test"]
DATA_PARTS: tuple[DataPart, ...] = ("bridge", "validation", "test")
"""A data set's training part is what bridge and decoder learn from; its encoder is a released one, and has no part here."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what people said of it."""

    id: str
    """Unique within a part."""
    audio: Path
    captions: tuple[str, ...]
    """One at least."""


@dataclass(frozen=True, slots=True)
class BadClip:
    """What a table names and cannot be used."""

    id: str
    reason: str


def write_listed(directory: Path, clips: Iterable[Clip], bad: Iterable[BadClip]) -> None:
    """Write the clips of a part into `directory`, and what of it cannot be used; the clips last, and all at once."""
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / BAD_FILE, _lines({"id": one.id, "reason": one.reason} for one in bad))
    write_whole(
        directory / CLIPS_FILE,
        _lines(
            {
                "id": clip.id,
                "audio": str(clip.audio.absolute()),
                "captions": clip.captions,
                "bytes": clip.audio.stat().st_size,
            }
            for clip in clips
        ),
    )


def read_listed(corpus: Path, part: str) -> list[Clip]:
    """Read the clips of a part, in the order in which they were listed.

    Raises:
        TrainingError: they are not there, or the file is damaged.
    """
    return [Clip(row["id"], Path(row["audio"]), tuple(row["captions"])) for row in _read_clips(corpus / part)]


def is_listed(corpus: Path) -> bool:
    """Whether a corpus lists the clips of a data set, and holds no scenes."""
    return (corpus / "bridge" / CLIPS_FILE).is_file()


def listed_fingerprint(corpus: Path, part: str) -> str:
    """One sha256 over ids, file names, sizes and captions of a part; the folder may move.

    Raises:
        TrainingError: the clips are not there, or the file is damaged.
    """
    rows = [{**row, "audio": Path(row["audio"]).name} for row in _read_clips(corpus / part)]
    return hashlib.sha256(_lines(rows).encode()).hexdigest()


def check_unchanged(corpus: Path, part: str) -> None:
    """Check that the audio of a part is what was listed, by the sizes of the files.

    Raises:
        TrainingError: a file is gone, or has another size; the message names it.
    """
    for row in _read_clips(corpus / part):
        path = Path(row["audio"])
        if not path.is_file() or path.stat().st_size != row["bytes"]:
            raise TrainingError(f"{path} is not what was listed: run `diffusion-link corpus` with this recipe again")


def count_bad(corpus: Path, part: str) -> int:
    """Clips of a part that were not listed, since they cannot be used.

    Raises:
        TrainingError: the corpus does not say.
    """
    return len(_read_lines(corpus / part / BAD_FILE, ("id", "reason")))


def check_bad_share(what: str, bad: Sequence[BadClip], earlier: int, total: int, max_share: float) -> None:
    """Check that of a part's clips not too many cannot be used; `earlier` ones were found and named before.

    Raises:
        RecipeError: more than `max_share` of them; the message names the first.
    """
    count = len(bad) + earlier
    if count > max_share * total:
        named = "; ".join(f"{one.id}: {one.reason}" for one in bad[:_NAMED_BAD]) or f"{BAD_FILE} of corpus/ names them"
        raise RecipeError(f"{what}: {count} of {total} clips cannot be used, and max_bad_share is {max_share:g}: {named}")


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _read_clips(directory: Path) -> list[dict[str, Any]]:
    rows = _read_lines(directory / CLIPS_FILE, ("id", "audio", "captions", "bytes"))
    if not rows:
        raise TrainingError(f"{directory / CLIPS_FILE} lists no clip: run `diffusion-link corpus` with this recipe again")
    return rows


def _read_lines(path: Path, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """The objects of a file that `write_listed` has written."""
    if not path.is_file():
        raise TrainingError(f"{path} is missing: run `diffusion-link corpus` with this recipe first")
    try:
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    except ValueError as error:
        raise TrainingError(f"{path} is damaged ({error}): run `diffusion-link corpus` with this recipe again") from error
    if any(not isinstance(row, dict) or tuple(row) != keys for row in rows):
        raise TrainingError(f"{path} is damaged: run `diffusion-link corpus` with this recipe again")
    return rows
