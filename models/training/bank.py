"""The tables of labelled recordings: which sounds there are, which recordings show them, and which part learns from which.

`sounds.csv` holds sound, kind and phrases; `recordings.csv` holds sound, split (train or test), package and path.
"""

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import RecipeError

Part = Literal["encoder", "bridge", "validation", "test"]
PARTS: tuple[Part, ...] = ("encoder", "bridge", "validation", "test")
"""Who sees a recording: the CLAP encoder; bridge and decoder; the choice of settings; measuring alone."""


class Sound(BaseModel):
    """A kind of sound and the phrases that say it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    kind: str
    phrases: tuple[str, ...] = Field(min_length=1)


class Recording(BaseModel):
    """One labelled recording, or one generator of them: a `program:N` of a soundfont, a name of the package `synth`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sound: str
    split: Literal["train", "test"]
    package: str = Field(min_length=1)
    path: str = Field(min_length=1)

    @property
    def generated(self) -> bool:
        """Whether any number of takes can be made of it."""
        return self.package == "synth" or self.path.startswith("program:")


def read_sounds(path: Path) -> list[Sound]:
    """Read the table of sounds.

    Raises:
        RecipeError: the table cannot be read, or names a sound twice.
    """
    rows = _read_table(path, ("sound", "kind", "phrases"))
    try:
        sounds = [
            Sound(
                name=row["sound"],
                kind=row["kind"],
                phrases=tuple(phrase.strip() for phrase in row["phrases"].split(";") if phrase.strip()),
            )
            for row in rows
        ]
    except ValidationError as error:
        raise RecipeError(f"{path}: {error}") from error
    if len({sound.name for sound in sounds}) < len(sounds):
        raise RecipeError(f"{path} names a sound twice")
    return sounds


def read_recordings(path: Path, sounds: Iterable[Sound]) -> list[Recording]:
    """Read the table of recordings.

    Raises:
        RecipeError: the table cannot be read, or names a sound that is not among `sounds`.
    """
    known = {sound.name for sound in sounds}
    rows = _read_table(path, ("sound", "split", "package", "path"))
    try:
        recordings = [Recording.model_validate(row) for row in rows]
    except ValidationError as error:
        raise RecipeError(f"{path}: {error}") from error
    if unknown := sorted({recording.sound for recording in recordings} - known):
        raise RecipeError(f"{path} names sounds that the table of sounds lacks: {', '.join(unknown)}")
    return recordings


def divide(recordings: Sequence[Recording], seed: int) -> list[tuple[Recording, Part]]:
    """Give every recording that is no generator of takes to one part.

    The encoder learns its own training recordings by heart, so bridge and decoder must not learn from those. A sound
    from several packages is divided by package, the largest going to the encoder; another by recording. A sound with a
    single recording is the encoder's; one with two leaves none for validation.
    """
    by_sound: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if recording.split == "train" and not recording.generated:
            by_sound[recording.sound].append(recording)
    divided: list[tuple[Recording, Part]] = [(r, "test") for r in recordings if r.split == "test"]
    for sound in sorted(by_sound):
        divided.extend(_divide_one(by_sound[sound], random.Random(f"{seed} {sound}")))
    return divided


def _divide_one(recordings: list[Recording], rng: random.Random) -> list[tuple[Recording, Part]]:
    packages: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        packages[recording.package].append(recording)
    groups = sorted(packages.values(), key=len, reverse=True)
    if len(groups) >= 3:
        encoder = [recording for group in groups[:-2] for recording in group]
        return [*_given(encoder, "encoder"), *_given(groups[-2], "bridge"), *_given(groups[-1], "validation")]
    if len(groups) == 2:
        return [*_given(groups[0], "encoder"), *_divide_rest(groups[1], rng)]
    shuffled = rng.sample(recordings, len(recordings))
    others = max(1, round(0.4 * len(shuffled))) if len(shuffled) > 1 else 0
    return [*_given(shuffled[others:], "encoder"), *_divide_rest(shuffled[:others], rng)]


def _divide_rest(recordings: list[Recording], rng: random.Random) -> list[tuple[Recording, Part]]:
    shuffled = rng.sample(recordings, len(recordings))
    validation = round(0.4 * len(shuffled)) if len(shuffled) > 1 else 0
    return [*_given(shuffled[:validation], "validation"), *_given(shuffled[validation:], "bridge")]


def _given(recordings: Iterable[Recording], part: Part) -> list[tuple[Recording, Part]]:
    return [(recording, part) for recording in recordings]


def _read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names, rows = tuple(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecipeError(f"{path} cannot be read as a table: {error}") from error
    if names != tuple(columns):
        raise RecipeError(f"{path} must have the columns {', '.join(columns)}")
    if any(None in row or None in row.values() for row in rows):
        raise RecipeError(f"{path} has a row with too few or too many fields")
    return rows
