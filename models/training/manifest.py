"""A data set of one's own: JSON lines, {"audio": "rain/0001.wav", "captions": ["rain falls", …]}, paths from the folder.

Either train.jsonl, validation.jsonl and test.jsonl, or a manifest.jsonl whose lines each say their part: "train",
"validation" or "test".
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import RecipeError, validation_faults
from models.training.clip_sources import EXTENSIONS, DataSettings, make_clip, parse_json, unique
from models.training.datasets import BadClip, Clip, DataPart

_WORDS: dict[DataPart, str] = {"bridge": "train", "validation": "validation", "test": "test"}


class ManifestRecipe(DataSettings):
    """Audio with captions on disk."""

    kind: Literal["manifest"]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    audio: str
    captions: list[str]
    part: Literal["train", "validation", "test"] | None = None


def read_manifest(recipe: ManifestRecipe, part: DataPart) -> Iterator[Clip | BadClip]:
    """Read a part, in the order of its lines; blank ones are passed over.

    Raises:
        RecipeError: a line is wrong, names audio outside the folder, or names it for the second time.
    """
    whole, own = recipe.folder / "manifest.jsonl", recipe.folder / f"{_WORDS[part]}.jsonl"
    seen: set[str] = set()
    for where, line in _read_lines(whole if whole.is_file() else own):
        if (line.part is None) == whole.is_file():
            raise RecipeError(f"{where}: `part` belongs into a manifest.jsonl, on every line, and into no other file")
        audio = recipe.folder / _inside(line.audio, where)
        identity = unique(line.audio, seen, where)
        if line.part in (None, _WORDS[part]):
            yield make_clip(identity, audio if audio.is_file() else None, line.captions)


def _read_lines(path: Path) -> Iterator[tuple[str, _Line]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    where = f"{path}, line {number}"
                    yield where, _Line.model_validate(parse_json(text, where))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise RecipeError(f"{where}: {'; '.join(validation_faults(error))}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not in UTF-8: {error}") from error


def _inside(text: str, where: str) -> PurePosixPath:
    """The path of an audio file below the folder; links that lead out of it are the user's own."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or not text.isprintable():
        raise RecipeError(f"{where}: {text!r} does not lie in the folder")
    if path.suffix.lower() not in EXTENSIONS:
        raise RecipeError(f"{where}: {text!r} is not a {', '.join(EXTENSIONS)} file")
    return path
