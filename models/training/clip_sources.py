"""What the readers of all data sets share: tables, audio files found by name, and clips put together from both.

Tables and names come from outside. A fault of a table's form is a `RecipeError` that names file and line, for nothing
that follows could be trusted; a clip that alone is at fault is a `BadClip`, which is counted.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.errors import RecipeError
from models.training.datasets import BadClip, Clip

EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")
"""What `decode_audio` reads, the best copy first, for those who keep several."""


class DataSettings(BaseModel):
    """What the recipes of all data sets share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    """Where the data set lies, its tables and its audio."""
    max_bad_share: float = Field(default=0.02, ge=0.0, le=1.0)
    """Clips of a part that may be missing or undecodable; with more, something is wrong with the folder."""


class AudioFiles:
    """The audio files that lie in folders (not below them), found by their names without extension."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Look into the folders that are there; where two hold the same name, the first wins."""
        self._paths: dict[str, Path] = {}
        for folder in reversed([folder for folder in folders if folder.is_dir()]):
            paths = [path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS and path.is_file()]
            # Of those of one name the last one stays: of the first folder, the first extension.
            paths.sort(key=lambda path: (EXTENSIONS.index(path.suffix.lower()), path.name), reverse=True)
            self._paths.update((path.stem, path) for path in paths)

    def find(self, names: Iterable[str]) -> Path | None:
        """The file of the first of these names that there is."""
        return next((self._paths[name] for name in names if name in self._paths), None)


def make_clip(identity: str, audio: Path | None, captions: Sequence[str]) -> Clip | BadClip:
    """Put a clip together. Blanks are evened out, and captions of nothing else are left out."""
    # Half a surrogate pair, which JSON can say and UTF-8 cannot, would end a run at the tokenizer.
    cleaned = (" ".join(caption.encode("utf-8", "ignore").decode().split()) for caption in captions)
    said = tuple(caption for caption in cleaned if caption)
    if audio is None:
        return BadClip(identity, "there is no audio file of it")
    if not said:
        return BadClip(identity, "it has no caption")
    return Clip(identity, audio, said)


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a CSV table that has these columns, and maybe others: yields where a row stands, for messages, and the row.

    Raises:
        RecipeError: it cannot be read, lacks a column, or has a row with too few or too many fields.
    """
    try:
        # A byte order mark, which spreadsheets write, would be part of the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if lacking := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise RecipeError(f"{path} lacks the columns {', '.join(lacking)}")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise RecipeError(f"{where}: too few or too many fields")
                yield where, row
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecipeError(f"{path} is not a table in UTF-8: {error}") from error


def parse_json(text: str, where: str) -> Any:
    """Parse JSON.

    Raises:
        RecipeError: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{where} is not JSON: {error}") from error


def plain_name(name: object, where: str) -> str:
    """Check that `name` names a file within a folder, and nothing elsewhere.

    Raises:
        RecipeError: it does not.
    """
    if not isinstance(name, str) or name in ("", "..") or PurePosixPath(name).name != name or "\\" in name:
        raise RecipeError(f"{where}: {name!r} is not the name of a file")
    if not name.isprintable():
        raise RecipeError(f"{where}: {name!r} is not the name of a file")
    return name


def unique(identity: str, seen: set[str], where: str) -> str:
    """Check that this is met for the first time.

    Raises:
        RecipeError: it was seen before.
    """
    if identity in seen:
        raise RecipeError(f"{where}: {identity!r} comes for the second time")
    seen.add(identity)
    return identity
