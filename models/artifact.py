"""Artifact directories: what is served, and the sums that prove it is what was trained.

artifact.json names every file with its sha256; the networks' own folders (clap/, bridge/, decoder/) are read by their own
`store` modules, after `verify_artifact` has passed. Data formats only: nothing in an artifact can be run.
"""

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models.checksum import sha256_of
from models.errors import ArtifactError, validation_faults

EMBEDDED_ARTIFACT = Path(__file__).parent / "embedded"
"""The artifact that ships with the package."""
SCHEMA_VERSION = 1
MANIFEST_FILE = "artifact.json"
MODEL_CARD_FILE = "README.md"
_UNLISTED = {MANIFEST_FILE, MODEL_CARD_FILE}
"""The manifest cannot hold its own sum, and the model card is for people: it may be edited."""
_SUFFIXES = {".json", ".safetensors", ".txt", ".model", ".jinja"}
"""Weights, settings and tokenizers; no pickle, no code."""


def _safe_name(name: str) -> str:
    path = PurePosixPath(name)
    if (
        path.as_posix() != name
        or path.is_absolute()
        or ".." in path.parts
        or not name.isprintable()
        or set(name) & set("\\:")
    ):
        raise ValueError("is not a plain relative path")
    if name in _UNLISTED:
        raise ValueError("is never listed")
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"is of a kind that no artifact holds; it may hold {', '.join(sorted(_SUFFIXES))}")
    return name


FileName = Annotated[str, AfterValidator(_safe_name)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ArtifactManifest(BaseModel):
    """The content of artifact.json."""

    # "constants", so that NaN among the metrics is refused when written; by default it would silently become null.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants")

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    version: str = Field(min_length=1)
    created: AwareDatetime
    code_revision: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    files: dict[FileName, Sha256] = Field(min_length=1)
    """Sum of every file, by its path from the artifact's directory."""
    recipe: dict[str, Any]
    """The recipe it was trained by."""
    training_data: dict[str, Any]
    metrics: dict[str, Any]
    """What was measured on the test split."""


def read_manifest(directory: Path) -> ArtifactManifest:
    """Read artifact.json and check its form, not the files that it names.

    Raises:
        ArtifactError: the manifest is missing, is not strict JSON, or is of another schema version.
    """
    if not directory.is_dir():
        raise ArtifactError(directory, "is not a directory")
    path = directory / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    try:
        raw = json.loads(content, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(path, f"is not strict JSON: {error}") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ArtifactError(path, f"has schema version {version!r}; this program reads {SCHEMA_VERSION}")
    try:
        return ArtifactManifest.model_validate_json(content)
    except ValidationError as error:
        raise ArtifactError(path, "; ".join(validation_faults(error))) from error


def verify_artifact(directory: Path) -> ArtifactManifest:
    """Read the manifest and check that the directory holds exactly the files that it names, bit for bit.

    Raises:
        ArtifactError: the manifest is wrong, or a file is missing, changed, not listed, or a link.
    """
    manifest = read_manifest(directory)
    found = set(_file_names(directory))
    for name, expected in sorted(manifest.files.items()):
        if name not in found:
            raise ArtifactError(directory / name, f"is missing; {MANIFEST_FILE} lists it")
        actual = _sha256(directory / name)
        if actual != expected:
            raise ArtifactError(directory / name, f"is damaged: its sha256 is {actual}, {MANIFEST_FILE} says {expected}")
    for name in sorted(found - manifest.files.keys()):
        raise ArtifactError(directory / name, f"does not belong here; {MANIFEST_FILE} does not list it")
    return manifest


def write_manifest(
    directory: Path,
    *,
    name: str,
    version: str,
    code_revision: str,
    licence: str,
    recipe: dict[str, Any],
    training_data: dict[str, Any],
    metrics: dict[str, Any],
    created: datetime | None = None,
) -> ArtifactManifest:
    """Hash every file in `directory` and write artifact.json beside them, as the last step of making an artifact.

    Raises:
        ArtifactError: the directory holds a link, or a file of a kind that no artifact holds.
        ValueError: a field is not what the manifest takes, or a number is NaN or infinite.
    """
    if not directory.is_dir():
        raise ArtifactError(directory, "is not a directory")
    files = {file_name: _sum_of_safe(directory, file_name) for file_name in sorted(_file_names(directory))}
    manifest = ArtifactManifest(
        schema_version=1,
        name=name,
        version=version,
        created=created or datetime.now(UTC).replace(microsecond=0),
        code_revision=code_revision,
        licence=licence,
        files=files,
        recipe=recipe,
        training_data=training_data,
        metrics=metrics,
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    unfinished = directory / f".{MANIFEST_FILE}.part"
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(directory / MANIFEST_FILE)
    return manifest


def _file_names(directory: Path) -> Iterator[str]:
    """Every file below the directory that a manifest lists, as a path from it."""
    for folder, folders, files in os.walk(directory):
        for entry in (*folders, *files):
            path = Path(folder, entry)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise ArtifactError(path, "is a symbolic link; an artifact holds plain files only")
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise ArtifactError(path, "is not a plain file")
            name = path.relative_to(directory).as_posix()
            if name not in _UNLISTED:
                yield name


def _sum_of_safe(directory: Path, name: str) -> str:
    try:
        _safe_name(name)
    except ValueError as error:
        raise ArtifactError(directory / name, str(error)) from error
    return _sha256(directory / name)


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("an object holds a key twice")
    return content


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
