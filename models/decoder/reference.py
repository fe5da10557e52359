"""A released language model named instead of copied: where it comes from, and the sums of the files that were used.

Artifacts of large models stay small this way. A folder is stored by its absolute path, since whoever loads the artifact
works elsewhere than whoever trained it; where it has moved, loading says so.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.checksum import sha256_of
from models.errors import ArtifactError, SourceError, validation_faults
from models.hub import MODEL_SUFFIXES, Source, fetch_source

REFERENCE_FILE = "reference.json"


class LanguageModelReference(BaseModel):
    """The content of reference.json."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str = Field(min_length=1)
    """Id on the hub, or absolute path of a folder."""
    revision: str | None
    """Commit on the hub; nothing for a folder."""
    files: dict[str, str] = Field(min_length=1)
    """The sha256 of every file that the model is read from."""
    adapted: bool
    """Whether an adapter was trained for it, which stands beside this file."""

    @classmethod
    def of(cls, source: Source, *, adapted: bool) -> "LanguageModelReference":
        """Describe a released model as it is now.

        Raises:
            SourceError: a file cannot be read.
        """
        name = source.name if source.revision else str(source.folder.resolve())
        return cls(source=name, revision=source.revision, files=_sums(source.folder), adapted=adapted)

    def folder(self, *, offline: bool = False) -> Path:
        """Find the model, or download it unless `offline`, and check that it is the same, file for file.

        Raises:
            SourceError: it cannot be had, or is another one.
        """
        folder = fetch_source(self.source, self.revision, offline=offline).folder
        found = _sums(folder)
        if found != self.files:
            other = sorted(name for name in found.keys() | self.files.keys() if found.get(name) != self.files.get(name))
            raise SourceError(f"{folder} is not what the decoder was trained on: {', '.join(other)} differ")
        return folder


def write_reference(reference: LanguageModelReference, directory: Path) -> None:
    """Write reference.json into `directory`, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / REFERENCE_FILE).write_text(reference.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_reference(directory: Path) -> LanguageModelReference:
    """Read reference.json.

    Raises:
        ArtifactError: it cannot be read, or is no reference.
    """
    path = directory / REFERENCE_FILE
    try:
        return LanguageModelReference.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ArtifactError(path, "; ".join(validation_faults(error, "file"))) from error


def _sums(folder: Path) -> dict[str, str]:
    try:
        # A hub's snapshot holds links to its cache, which count as the files that they lead to.
        paths = sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES and path.is_file())
        return {path.name: sha256_of(path) for path in paths}
    except OSError as error:
        raise SourceError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
