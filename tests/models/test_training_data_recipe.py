"""The section [data]: any data set, listed whole or refused with a reason."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from models.errors import RecipeError, TrainingError
from models.training.data_recipe import DataRecipe, list_data_set, read_clips
from models.training.datasets import DATA_PARTS, Clip, count_bad, read_listed
from tests.models.data_set import write_data_set


def test_a_data_set_is_listed_with_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, output = write_data_set(tmp_path / "data"), tmp_path / "corpus"
    (tmp_path / "data" / "train" / "2.ogg").unlink()
    list_data_set(recipe, output)
    kept = ("0.wav", "1.flac", "3.wav", "4.flac", "5.ogg", "6.wav")
    assert [clip.id for clip in read_listed(output, "bridge")] == [f"train/{name}" for name in kept]
    assert [count_bad(output, part) for part in DATA_PARTS] == [1, 0, 0]
    assert json.loads((output / "summary.json").read_text(encoding="utf-8")) == {
        "data": {
            "kind": "manifest",
            "parts": {
                "bridge": {"clips": 6, "captions": 10, "unusable": 1},
                "validation": {"clips": 3, "captions": 6, "unusable": 0},
                "test": {"clips": 2, "captions": 3, "unusable": 0},
            },
        }
    }
    assert "corpus, bridge: 6 clips, 10 captions, 1 unusable" in capsys.readouterr().out


def test_a_later_list_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    recipe, output = write_data_set(tmp_path / "data"), tmp_path / "corpus"
    list_data_set(recipe, output)
    (tmp_path / "data" / "test" / "0.wav").rename(tmp_path / "away.wav")
    with pytest.raises(RecipeError, match=r"the part test of .*: 1 of 2 clips cannot be used.*test/0\.wav: there is no"):
        list_data_set(recipe, output)
    assert len(read_listed(output, "test")) == 2
    list_data_set(recipe.model_copy(update={"max_bad_share": 0.5}), output)
    assert len(read_listed(output, "test")) == 1


def test_scenes_are_not_overwritten(tmp_path: Path) -> None:
    recipe, output = write_data_set(tmp_path / "data"), tmp_path / "corpus"
    output.mkdir()
    (output / "recordings.jsonl").touch()
    with pytest.raises(TrainingError, match="holds something else than a list of clips"):
        list_data_set(recipe, output)
    assert [path.name for path in output.iterdir()] == ["recordings.jsonl"]


def test_audio_of_two_clips_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.csv").write_text(
            f"audiocap_id,youtube_id,start_time,caption\n{split},aaaaaaaaaaa,{len(split)},a\n", encoding="utf-8"
        )
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "aaaaaaaaaaa.wav").touch()
    recipe = TypeAdapter(DataRecipe).validate_python({"kind": "audiocaps", "folder": tmp_path})
    with pytest.raises(
        RecipeError, match=r"is the audio of aaaaaaaaaaa_5 in bridge, and of aaaaaaaaaaa_3 in validation too"
    ):
        list_data_set(recipe, tmp_path / "corpus")


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    recipe = write_data_set(tmp_path / "data")
    lines = (tmp_path / "data" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[:-2]
    (tmp_path / "data" / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"the part test of .* has no clip"):
        list_data_set(recipe, tmp_path / "corpus")


@pytest.mark.parametrize("kind", ["audiocaps", "clotho", "manifest", "wavcaps"])
def test_every_kind_has_its_reader(tmp_path: Path, kind: str) -> None:
    recipe = TypeAdapter(DataRecipe).validate_python({"kind": kind, "folder": tmp_path})
    with pytest.raises(RecipeError, match=str(tmp_path)):
        list(read_clips(recipe, "bridge"))


def test_clips_come_one_by_one(tmp_path: Path) -> None:
    recipe = write_data_set(tmp_path / "data")
    with (tmp_path / "data" / "manifest.jsonl").open("a", encoding="utf-8") as file:
        file.write("no JSON\n")
    clips = read_clips(recipe, "test")
    assert all(isinstance(next(clips), Clip) for _ in range(2))
    with pytest.raises(RecipeError, match="line 13"):
        next(clips)
