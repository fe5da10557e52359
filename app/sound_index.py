"""SoundIndex: the embeddings of a folder's sounds in one file, and the exact search through them.

The file is NumPy's .npz without pickle: names, sizes, times and embeddings as arrays, and a little JSON that says which
artifact made them, by the sum of each of its files. Embeddings of two artifacts cannot be compared, so an index of another
one is refused.

The search is one matrix product over all sounds and no library such as faiss, by measurement (benchmarks/search.py): among
100,000 sounds of width 256 it took 19 ms on one core, and reading the file 0.2 s; loading even a small model takes seconds.
"""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64
from pydantic import BaseModel, ConfigDict, ValidationError

from models.artifact import ArtifactManifest
from models.errors import DiffusionLinkError, validation_faults

_LENGTH_TOLERANCE = 1e-3
_FORMS: dict[str, tuple[type[np.generic], int]] = {
    "about": (np.uint8, 1),
    "folder": (np.uint8, 1),
    "names": (np.uint8, 1),
    "stamps": (np.int64, 2),
    "embeddings": (np.float32, 2),
}
"""The arrays of a file: element and number of axes."""


class SoundIndexError(DiffusionLinkError):
    """An index file cannot be used, or not for this."""

    def __init__(self, path: Path, reason: str) -> None:
        """Name the file and the reason."""
        super().__init__(f"{path}: {reason}")


class IndexedArtifact(BaseModel):
    """The artifact that an index was made with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    name: str
    version: str
    files: dict[str, str]
    """sha256 of each of its files."""

    @classmethod
    def of(cls, manifest: ArtifactManifest) -> "IndexedArtifact":
        """What the manifest says."""
        return cls(name=manifest.name, version=manifest.version, files=dict(manifest.files))


@dataclass(frozen=True, slots=True, eq=False)
class SoundIndex:
    """Sounds below one folder."""

    artifact: IndexedArtifact
    folder: str
    names: Sequence[str]
    """Paths from the folder."""
    stamps: Int64[np.ndarray, "sounds 2"]
    """Bytes, and nanoseconds of the last change, of each file when it was embedded."""
    embeddings: Float32[np.ndarray, "sounds dim"]
    """In text space, unit length."""

    @classmethod
    def load(cls, path: Path) -> "SoundIndex":
        """Read an index, and believe nothing of it.

        Raises:
            SoundIndexError: the file is not there, or is no index.
        """
        try:
            arrays = _read_arrays(path)
            artifact = IndexedArtifact.model_validate_json(arrays["about"].tobytes())
        except OSError as error:
            raise SoundIndexError(path, f"cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            raise SoundIndexError(path, "; ".join(validation_faults(error, "about"))) from error
        # NumPy and zipfile raise these where bytes are not what they should be, MemoryError where a length is a lie.
        except (ValueError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise SoundIndexError(path, f"is no index of sounds: {error}") from error
        names = [os.fsdecode(name) for name in arrays["names"].tobytes().split(b"\0")[:-1]]
        stamps, embeddings = arrays["stamps"], arrays["embeddings"]
        if stamps.shape != (len(names), 2) or len(embeddings) != len(names) or len(set(names)) != len(names):
            raise SoundIndexError(path, "is damaged: its names, times and embeddings do not fit together")
        # Written so that NaN is refused too.
        if not (np.abs(np.linalg.norm(embeddings, axis=1) - 1) < _LENGTH_TOLERANCE).all():
            raise SoundIndexError(path, "is damaged: it holds an embedding that is not of unit length")
        return cls(artifact, os.fsdecode(arrays["folder"].tobytes()), names, stamps, embeddings)

    def save(self, path: Path) -> None:
        """Write the file; whoever reads meanwhile finds the old one.

        Raises:
            SoundIndexError: it cannot be written.
        """
        arrays = {
            "about": _bytes_array(self.artifact.model_dump_json().encode()),
            "folder": _bytes_array(os.fsencode(self.folder)),
            "names": _bytes_array(b"".join(os.fsencode(name) + b"\0" for name in self.names)),
            "stamps": self.stamps,
            "embeddings": self.embeddings,
        }
        unfinished = path.with_name(f".{path.name}.part")
        try:
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise SoundIndexError(path, f"cannot be written: {error.strerror or error}") from error

    def check_artifact(self, path: Path, manifest: ArtifactManifest, dim: int) -> None:
        """Refuse an index, read from `path`, whose embeddings are not those of this artifact.

        Raises:
            SoundIndexError: it was made with another artifact.
        """
        if self.artifact != IndexedArtifact.of(manifest) or (len(self.names) and self.embeddings.shape[1] != dim):
            made, used = f"{self.artifact.name} {self.artifact.version}", f"{manifest.name} {manifest.version}"
            same = " with other files" if made == used else ""
            raise SoundIndexError(
                path, f"was made with the artifact {made}{same}, not with {used}; index the folder into another file"
            )

    def search(self, query: Float32[np.ndarray, " dim"], count: int) -> list[tuple[str, float]]:
        """Give the `count` sounds nearest to a text's embedding and their cosines, the best first."""
        cosines = self.embeddings @ query
        best = np.argsort(-cosines, kind="stable")[:count]
        return [(self.names[row], float(cosines[row])) for row in best]


def _read_arrays(path: Path) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        # As it is written: not compressed, so that no small file becomes a large array.
        members = archive.infolist()
        stored = {member.filename for member in members if member.compress_type == zipfile.ZIP_STORED}
        if len(members) != len(_FORMS) or stored != {f"{name}.npy" for name in _FORMS}:
            raise ValueError("its parts are others")
        arrays = {}
        for name, (element, axes) in _FORMS.items():
            with archive.open(f"{name}.npy") as part:
                arrays[name] = np.lib.format.read_array(part, allow_pickle=False)
            if arrays[name].dtype != element or arrays[name].ndim != axes:
                raise ValueError(f"{name} is {arrays[name].dtype} with {arrays[name].ndim} axes")
    return arrays


def _bytes_array(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(data, dtype=np.uint8)
