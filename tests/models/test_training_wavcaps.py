"""WavCaps: sources in JSON, and parts that a sum over the id tells."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import RecipeError
from models.training.datasets import DATA_PARTS, BadClip, Clip
from models.training.wavcaps import WavCapsRecipe, read_wavcaps


def _table(folder: Path, source: str, name: str, content: Any) -> None:
    path = folder / "json_files" / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def _all(folder: Path, **settings: float) -> dict[str, list[Clip | BadClip]]:
    recipe = WavCapsRecipe(kind="wavcaps", folder=folder, **settings)  # type: ignore[arg-type]
    return {part: list(read_wavcaps(recipe, part)) for part in DATA_PARTS}


def test_sources_keep_their_ids_and_audio_apart(tmp_path: Path) -> None:
    _table(tmp_path, "AudioSet_SL", "as_final.json", {"data": [{"id": "Yb.wav", "caption": "a", "duration": float("nan")}]})
    _table(tmp_path, "FreeSound", "fsd_final.json", [{"id": "7", "caption": "b"}, {"id": "8", "caption": "c"}])
    _table(tmp_path, "SoundBible", "sb_final.json", [{"id": "7", "caption": "d"}])
    for name in ("AudioSet_SL_flac/Yb.flac", "Audio/FreeSound/7.flac", "SoundBible/7.flac"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    clips = sorted((clip for part in _all(tmp_path).values() for clip in part), key=lambda clip: clip.id)
    assert clips == [
        Clip("AudioSet_SL/Yb.wav", tmp_path / "AudioSet_SL_flac" / "Yb.flac", ("a",)),
        Clip("FreeSound/7", tmp_path / "Audio" / "FreeSound" / "7.flac", ("b",)),
        BadClip("FreeSound/8", "there is no audio file of it"),
        Clip("SoundBible/7", tmp_path / "SoundBible" / "7.flac", ("d",)),
    ]


def test_every_clip_has_one_part_whatever_else_there_is(tmp_path: Path) -> None:
    rows = [{"id": str(number), "caption": "a"} for number in range(2_000)]
    _table(tmp_path, "FreeSound", "fsd_final.json", rows)
    whole = {part: {clip.id for clip in clips} for part, clips in _all(tmp_path, held_out_share=0.1).items()}
    assert sum(map(len, whole.values())) == len(set().union(*whole.values())) == 2_000
    assert 150 < len(whole["validation"]) < 250
    assert 150 < len(whole["test"]) < 250
    _table(tmp_path, "FreeSound", "fsd_final.json", rows[1_000:])
    half = {part: {clip.id for clip in clips} for part, clips in _all(tmp_path, held_out_share=0.1).items()}
    assert all(half[part] < whole[part] for part in DATA_PARTS)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "is not JSON"),
        ("version https://git-lfs.github.com/spec/v1", "is not JSON"),
        ({"clips": []}, "holds no list of clips"),
        ([{"id": "1", "caption": float("nan")}], "clip 0 has no caption that is a text"),
        ([{"id": "1"}], "clip 0 has no caption"),
        (["a"], "clip 0 has no caption"),
        ([{"id": "../1", "caption": "a"}], "clip 0: '../1' is not the name of a file"),
        ([{"id": 1, "caption": "a"}], "clip 0: 1 is not the name of a file"),
        ([{"id": "1", "caption": "a"}, {"id": "1", "caption": "a"}], "clip 1: '1' comes for the second time"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: Any, fault: str) -> None:
    _table(tmp_path, "SoundBible", "sb_final.json", content)
    with pytest.raises(RecipeError, match=rf"sb_final\.json.*{fault}"):
        _all(tmp_path)


def test_a_folder_without_any_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"json_files holds none of as_final\.json, "):
        _all(tmp_path)
