"""The section [data] of a recipe: a data set of recordings with captions, and its clips listed for the later stages.

All data sets are read through `read_clips`, and listed once by `corpus`: which clips there are, where their audio lies,
and what is missing. Nothing is copied or decoded.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from models.errors import RecipeError, TrainingError
from models.output import say
from models.training.audiocaps import AudioCapsRecipe, read_audiocaps
from models.training.clotho import ClothoRecipe, read_clotho
from models.training.datasets import DATA_PARTS, BadClip, Clip, DataPart, check_bad_share, is_listed, write_listed
from models.training.folders import replaced
from models.training.manifest import ManifestRecipe, read_manifest
from models.training.wavcaps import WavCapsRecipe, read_wavcaps

DataRecipe = Annotated[AudioCapsRecipe | ClothoRecipe | ManifestRecipe | WavCapsRecipe, Field(discriminator="kind")]
"""Which data set, and where; told apart by `kind`."""


def read_clips(recipe: DataRecipe, part: DataPart) -> Iterator[Clip | BadClip]:
    """Read the clips of a part, one by one, always in the same order.

    Raises:
        RecipeError: a table is wrong; the message says where.
    """
    match recipe:
        case AudioCapsRecipe():
            return read_audiocaps(recipe, part)
        case ClothoRecipe():
            return read_clotho(recipe, part)
        case ManifestRecipe():
            return read_manifest(recipe, part)
        case WavCapsRecipe():
            return read_wavcaps(recipe, part)


def list_data_set(recipe: DataRecipe, output: Path) -> None:
    """List all parts of a data set in the folder `output`, in place of an earlier list.

    Raises:
        RecipeError: a table is wrong, a part is empty or has too many clips that cannot be used, or two clips share a file.
        TrainingError: the folder holds scenes.
    """
    if output.is_dir() and any(output.iterdir()) and not is_listed(output):
        raise TrainingError(f"{output} holds something else than a list of clips: remove it to begin anew")
    summary: dict[str, dict[str, int]] = {}
    used: dict[Path, str] = {}
    with replaced(output) as new:
        for part in DATA_PARTS:
            clips, bad = _sorted_out(recipe, part, used)
            write_listed(new / part, clips, bad)
            summary[part] = {
                "clips": len(clips),
                "captions": sum(len(clip.captions) for clip in clips),
                "unusable": len(bad),
            }
        facts = {"kind": recipe.kind, "parts": summary}
        (new / "summary.json").write_text(json.dumps({"data": facts}, indent=2) + "\n", encoding="utf-8")
    for listed, counts in summary.items():
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        say(f"corpus, {listed}: {said}", part=listed, **counts)


def _sorted_out(recipe: DataRecipe, part: DataPart, used: dict[Path, str]) -> tuple[list[Clip], list[BadClip]]:
    """The clips of a part and what cannot be used; `used` are the files of the clips before."""
    clips: list[Clip] = []
    bad: list[BadClip] = []
    for clip in read_clips(recipe, part):
        if isinstance(clip, BadClip):
            bad.append(clip)
            continue
        if clip.audio in used:
            # One of them would be of other audio; or a clip that is trained on would be measured on.
            raise RecipeError(f"{clip.audio} is the audio of {used[clip.audio]}, and of {clip.id} in {part} too")
        used[clip.audio] = f"{clip.id} in {part}"
        clips.append(clip)
    where = f"the part {part} of {recipe.folder}"
    check_bad_share(where, bad, 0, len(clips) + len(bad), recipe.max_bad_share)
    if not clips:
        raise RecipeError(f"{where} has no clip")
    return clips, bad
