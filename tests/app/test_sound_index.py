"""SoundIndex: what is written is read, nothing in a file is believed, and the nearest sounds come first."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.sound_index import IndexedArtifact, SoundIndex, SoundIndexError
from tests.app.fakes import DIM, MANIFEST

_NAMES = ["a.wav", "b/c.flac", os.fsdecode(b"\xff.mp3"), "d\n.ogg"]


def _index(names: list[str] = _NAMES) -> SoundIndex:
    rows = np.eye(max(DIM, len(names)), DIM, dtype=np.float32)[: len(names)]
    stamps = np.arange(2 * len(names), dtype=np.int64).reshape(-1, 2)
    return SoundIndex(IndexedArtifact.of(MANIFEST), "/sounds", names, stamps, rows)


def _rewrite(path: Path, **changed: Any) -> None:
    """Change arrays of an index, or leave one out where it is None."""
    with np.load(path) as file:
        arrays = {**file, **changed}
    with path.open("wb") as target:
        np.savez(target, **{name: array for name, array in arrays.items() if array is not None})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    _index().save(tmp_path / "index.npz")
    return tmp_path / "index.npz"


def test_what_is_written_is_read(path: Path) -> None:
    index, read = _index(), SoundIndex.load(path)
    assert (read.artifact, read.folder, read.names) == (index.artifact, "/sounds", _NAMES)
    assert np.array_equal(read.stamps, index.stamps)
    assert np.array_equal(read.embeddings, index.embeddings)
    assert [entry.name for entry in path.parent.iterdir()] == ["index.npz"]


def test_an_empty_index(path: Path) -> None:
    _index([]).save(path)
    index = SoundIndex.load(path)
    index.check_artifact(path, MANIFEST, DIM)
    assert index.search(np.ones(DIM, dtype=np.float32), 3) == []


def test_the_nearest_come_first_and_equal_ones_keep_their_order(path: Path) -> None:
    query = np.zeros(DIM, dtype=np.float32)
    query[1:3] = 0.6, 0.8
    assert SoundIndex.load(path).search(query, 3) == [
        (_NAMES[2], pytest.approx(0.8)),
        (_NAMES[1], pytest.approx(0.6)),
        ("a.wav", 0),
    ]
    assert len(SoundIndex.load(path).search(query, 99)) == 4


def test_another_artifact_is_refused(path: Path) -> None:
    index = SoundIndex.load(path)
    index.check_artifact(path, MANIFEST, DIM)
    other = MANIFEST.model_copy(update={"version": "8"})
    with pytest.raises(SoundIndexError, match="made with the artifact fake 7, not with fake 8"):
        index.check_artifact(path, other, DIM)
    retrained = MANIFEST.model_copy(update={"files": {"clap/config.json": "1" * 64}})
    with pytest.raises(SoundIndexError, match="fake 7 with other files, not"):
        index.check_artifact(path, retrained, DIM)
    with pytest.raises(SoundIndexError):
        index.check_artifact(path, MANIFEST, DIM + 1)


_ABOUT = np.frombuffer(json.dumps({"schema_version": 2, "name": "a", "version": "1", "files": {}}).encode(), np.uint8)
_NAN = np.full((4, DIM), np.nan, dtype=np.float32)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"about": _ABOUT}, "schema_version: Input should be 1"),
        ({"about": np.zeros(3, np.uint8)}, "about: Invalid JSON"),
        ({"about": None}, "its parts are others"),
        ({"more": np.zeros(1)}, "its parts are others"),
        ({"stamps": np.zeros((3, 2), np.int64)}, "do not fit together"),
        ({"names": np.frombuffer(b"a\0a\0b\0c\0", np.uint8)}, "do not fit together"),
        ({"embeddings": np.eye(4, dtype=np.float64)}, "embeddings is float64 with 2 axes"),
        ({"embeddings": np.ones(4, dtype=np.float32)}, "embeddings is float32 with 1 axes"),
        ({"embeddings": _NAN}, "not of unit length"),
        ({"embeddings": np.ones((4, DIM), np.float32)}, "not of unit length"),
        ({"embeddings": np.array([[object()]])}, "Object arrays cannot be loaded"),
    ],
)
def test_a_changed_file_is_refused(path: Path, changed: dict[str, Any], reason: str) -> None:
    _rewrite(path, **changed)
    with pytest.raises(SoundIndexError, match=reason):
        SoundIndex.load(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04", b"\x93NUMPY"])
def test_other_bytes_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SoundIndexError, match="is no index of sounds"):
        SoundIndex.load(path)


@pytest.mark.parametrize("end", [50, 500, 900, -30])
def test_a_file_that_is_cut_short(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(SoundIndexError, match="is no index of sounds"):
        SoundIndex.load(path)


def test_a_length_that_is_a_lie(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    lied = parts["embeddings.npy"].replace(b"(4, 8)", b"(4000000000000, 8)")
    parts["embeddings.npy"] = lied.replace(b" " * 11 + b"\n", b"\n", 1)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    with pytest.raises(SoundIndexError, match="is no index of sounds"):
        SoundIndex.load(path)


def test_a_compressed_file_is_refused(path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    np.savez_compressed(path, **arrays)
    with pytest.raises(SoundIndexError, match="its parts are others"):
        SoundIndex.load(path)


def test_a_path_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(SoundIndexError, match="cannot be read: No such file"):
        SoundIndex.load(tmp_path / "none.npz")
    with pytest.raises(SoundIndexError, match="cannot be written: No such file"):
        _index().save(tmp_path / "none" / "index.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SoundIndexError, match="cannot be written: Is a directory"):
        _index().save(tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
