"""Clotho (Drossos et al. 2020), versions 2 and 2.1: five captions a file, in clotho_captions_<split>.csv.

A row holds file_name and caption_1 … caption_5. The splits are development (training), validation and evaluation (test).
Tables lie in the folder itself or in clotho_csv_files/, audio in development/, validation/ and evaluation/ there or in
clotho_audio_files/: as Zenodo's archives unpack, and as aac-datasets unpacks them.
"""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from models.training.clip_sources import AudioFiles, DataSettings, make_clip, plain_name, read_table, unique
from models.training.datasets import BadClip, Clip, DataPart

_SPLITS: dict[DataPart, str] = {"bridge": "development", "validation": "validation", "test": "evaluation"}
_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


class ClothoRecipe(DataSettings):
    """Clotho on disk."""

    kind: Literal["clotho"]


def read_clotho(recipe: ClothoRecipe, part: DataPart) -> Iterator[Clip | BadClip]:
    """Read a part, in the order of its table.

    Raises:
        RecipeError: the table is wrong; the message says where.
    """
    split = _SPLITS[part]
    table = recipe.folder / "clotho_csv_files" / f"clotho_captions_{split}.csv"
    if not table.is_file():
        table = recipe.folder / table.name
    files = AudioFiles([recipe.folder / split, recipe.folder / "clotho_audio_files" / split])
    seen: set[str] = set()
    for where, row in read_table(table, ("file_name", *_CAPTIONS)):
        name = unique(plain_name(row["file_name"], where), seen, where)
        yield make_clip(name, files.find([PurePath(name).stem]), [row[column] for column in _CAPTIONS])
