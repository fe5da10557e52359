"""WavCaps (Mei et al. 2023): 400,000 clips of four sources, a machine-written caption each, in JSON files.

As released: json_files/<Source>/<name>.json, {"data": [{"id", "caption", …}, …]} or that list alone; sources whose file is
not there are left out. Audio lies in <Source>/, <Source>_flac/, audio/<Source>/ or Audio/<Source>/, named by id. There is
no split, so a share of the clips, told by a sum over source and id, is held out for validation, and as many for test.

WavCaps holds recordings that are also in AudioCaps' and Clotho's test sets; what was trained on it is not to be measured
on those before the ids of the released json_files/blacklist/ are taken out of the JSON files.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from models.errors import RecipeError
from models.training.clip_sources import AudioFiles, DataSettings, make_clip, parse_json, plain_name, unique
from models.training.datasets import BadClip, Clip, DataPart

_TABLES = {
    "AudioSet_SL": "as_final.json",
    "BBC_Sound_Effects": "bbc_final.json",
    "FreeSound": "fsd_final.json",
    "SoundBible": "sb_final.json",
}


class WavCapsRecipe(DataSettings):
    """WavCaps on disk."""

    kind: Literal["wavcaps"]
    held_out_share: float = Field(default=0.01, gt=0.0, le=0.4)
    """Of the clips, for validation, and as much again for test."""


def read_wavcaps(recipe: WavCapsRecipe, part: DataPart) -> Iterator[Clip | BadClip]:
    """Read a part, source by source, in the order of the JSON files. One source's file is in memory at a time.

    Raises:
        RecipeError: a file is wrong, or there is none at all; the message says where.
    """
    found = False
    for source, name in _TABLES.items():
        path = recipe.folder / "json_files" / source / name
        if not path.is_file():
            continue
        found = True
        try:
            content = parse_json(path.read_text(encoding="utf-8-sig"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} cannot be read: {error}") from error
        yield from _read_source(recipe, source, content, str(path), part)
    if not found:
        raise RecipeError(f"{recipe.folder / 'json_files'} holds none of {', '.join(_TABLES.values())}")


def _read_source(recipe: WavCapsRecipe, source: str, content: Any, where: str, part: DataPart) -> Iterator[Clip | BadClip]:
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise RecipeError(f"{where} holds no list of clips")
    folder = recipe.folder
    files = AudioFiles([folder / source, folder / f"{source}_flac", folder / "audio" / source, folder / "Audio" / source])
    seen: set[str] = set()
    for number, row in enumerate(rows):
        here = f"{where}, clip {number}"
        if not isinstance(row, dict) or not isinstance(row.get("caption"), str):
            raise RecipeError(f"{here} has no caption that is a text")
        name = unique(plain_name(row.get("id"), here), seen, here)
        identity = f"{source}/{name}"
        if _part_of(identity, recipe.held_out_share) == part:
            # AudioSet's ids end with .wav, and its files with .flac.
            yield make_clip(identity, files.find([name.removesuffix(".wav")]), [row["caption"]])


def _part_of(identity: str, share: float) -> DataPart:
    position = int.from_bytes(hashlib.sha256(identity.encode("utf-8", "replace")).digest()[:8]) / 2**64
    return "validation" if position < share else "test" if position < 2 * share else "bridge"
