"""Manifests: a line a clip, within the folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import RecipeError
from models.training.datasets import BadClip, Clip, DataPart
from models.training.manifest import ManifestRecipe, read_manifest


def _read(folder: Path, part: DataPart) -> list[Clip | BadClip]:
    return list(read_manifest(ManifestRecipe(kind="manifest", folder=folder), part))


def _write(path: Path, *rows: Any) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8-sig")


def test_one_file_with_parts(tmp_path: Path) -> None:
    (tmp_path / "rain").mkdir()
    (tmp_path / "rain" / "1.wav").touch()
    _write(
        tmp_path / "manifest.jsonl",
        {"audio": "rain/1.wav", "captions": ["rain", "it rains"], "part": "train"},
        {"audio": "2.MP3", "captions": ["gone"], "part": "test"},
    )
    assert _read(tmp_path, "bridge") == [Clip("rain/1.wav", tmp_path / "rain" / "1.wav", ("rain", "it rains"))]
    assert _read(tmp_path, "test") == [BadClip("2.MP3", "there is no audio file of it")]
    assert _read(tmp_path, "validation") == []


def test_a_file_a_part(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.ogg").touch()
        (tmp_path / f"{name}.jsonl").write_text(
            f'\r\n{{"captions": ["{name}"], "audio": "{name}.ogg"}}\r\n\r\n', encoding="utf-8"
        )
    parts: tuple[DataPart, ...] = ("bridge", "validation", "test")
    assert [[clip.id for clip in _read(tmp_path, part)] for part in parts] == [
        ["train.ogg"],
        ["validation.ogg"],
        ["test.ogg"],
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"audio": "../a.wav", "captions": ["a"]}', "'../a.wav' does not lie in the folder"),
        ('{"audio": "/a.wav", "captions": ["a"]}', "'/a.wav' does not lie in the folder"),
        ('{"audio": "a\\u0000.wav", "captions": ["a"]}', "does not lie in the folder"),
        ('{"audio": "..\\\\a.wav", "captions": ["a"]}', "does not lie in the folder"),
        ('{"audio": "a.m4a", "captions": ["a"]}', "'a.m4a' is not a .wav, .flac, .ogg, .mp3 file"),
        ('{"audio": "a.wav", "captions": [NaN]}', "captions.0: Input should be a valid string"),
        ('{"audio": "a.wav", "captions": "a"}', "captions: Input should be a valid list"),
        ('{"audio": "a.wav", "caption": "a"}', "captions: Field required"),
        ('{"audio": "a.wav", "captions": ["a"], "part": "train"}', "`part` belongs into a manifest.jsonl"),
        ('{"audio": "a.wav"', "is not JSON"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "train.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=rf"train\.jsonl, line 2.*{fault}"):
        _read(tmp_path, "bridge")


def test_audio_is_named_once_whatever_its_part(tmp_path: Path) -> None:
    rows = [{"audio": "a.wav", "captions": ["a"], "part": part} for part in ("train", "test")]
    _write(tmp_path / "manifest.jsonl", *rows)
    with pytest.raises(RecipeError, match=r"line 2: 'a\.wav' comes for the second time"):
        _read(tmp_path, "bridge")


def test_a_line_without_its_part_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "manifest.jsonl", {"audio": "a.wav", "captions": ["a"]})
    with pytest.raises(RecipeError, match="line 1: `part` belongs"):
        _read(tmp_path, "test")


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"test\.jsonl cannot be read"):
        _read(tmp_path, "test")
    (tmp_path / "test.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(RecipeError, match=r"test\.jsonl is not in UTF-8"):
        _read(tmp_path, "test")
