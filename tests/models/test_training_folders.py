"""Stage folders: what is finished is whole, and a resumed run is the same run."""

from pathlib import Path

import pytest

from models.errors import TrainingError
from models.training.folders import begin_stage, begun_with, fingerprint, finished, replaced


def test_a_missing_stage_is_named_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run `diffusion-link train-bridge`"):
        finished(tmp_path, "bridge/model")


def test_a_fresh_run_does_not_touch_an_earlier_one(tmp_path: Path) -> None:
    directory = tmp_path / "bridge"
    begin_stage(directory, {"steps": 1}, resume=False)
    (directory / "checkpoint.pt").touch()
    with pytest.raises(TrainingError, match="--resume goes on with it"):
        begin_stage(directory, {"steps": 2}, resume=False)
    assert (directory / "checkpoint.pt").exists()
    assert begun_with(directory) == {"steps": 1}


def test_a_resumed_run_keeps_the_folder(tmp_path: Path) -> None:
    directory = tmp_path / "bridge"
    begin_stage(directory, {"steps": 1}, resume=True)
    (directory / "checkpoint.pt").touch()
    begin_stage(directory, {"steps": 1}, resume=True)
    assert (directory / "checkpoint.pt").exists()


def test_a_run_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    begin_stage(tmp_path / "bridge", {"steps": 1}, resume=False)
    with pytest.raises(TrainingError, match="other settings or data"):
        begin_stage(tmp_path / "bridge", {"steps": 2}, resume=True)


def test_a_folder_without_settings_is_neither_resumed_nor_emptied(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(TrainingError, match="does not say what"):
        begin_stage(tmp_path, {"steps": 1}, resume=True)
    assert (tmp_path / "checkpoint.pt").exists()


def test_a_run_that_was_killed_at_once_is_resumed_as_a_fresh_one(tmp_path: Path) -> None:
    (tmp_path / "settings.json.new").touch()
    begin_stage(tmp_path, {"steps": 1}, resume=True)
    assert begun_with(tmp_path) == {"steps": 1}


def test_a_folder_that_does_not_say_what_it_is_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"settings\.json cannot be read"):
        begun_with(tmp_path)


def test_what_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    with replaced(directory) as new:
        (new / "a").write_text("old", encoding="utf-8")

    def fail() -> None:
        with replaced(directory) as new:
            (new / "a").write_text("new", encoding="utf-8")
            raise TrainingError

    with pytest.raises(TrainingError):
        fail()
    assert (directory / "a").read_text(encoding="utf-8") == "old"


def test_what_succeeds_takes_the_place_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    (tmp_path / "model.new").mkdir()
    (tmp_path / "model.new" / "leftover").touch()
    for name in ("first", "second"):
        with replaced(directory) as new:
            (new / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert [path.name for path in directory.iterdir()] == ["second"]


def test_fingerprints_depend_on_names_and_content_only(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a", encoding="utf-8")
    two.write_text("b", encoding="utf-8")
    before = fingerprint([one, two])
    assert fingerprint([two, one]) == before
    two.write_text("c", encoding="utf-8")
    assert fingerprint([one, two]) != before


def test_a_missing_file_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing cannot be read"):
        fingerprint([tmp_path / "nothing"])


def test_what_was_to_be_replaced_comes_back_after_a_kill_between_the_renames(tmp_path: Path) -> None:
    (tmp_path / "model.old").mkdir()
    (tmp_path / "model.old" / "weights").write_text("good", encoding="utf-8")
    (tmp_path / "model.new").mkdir()
    with pytest.raises(ZeroDivisionError), replaced(tmp_path / "model"):
        raise ZeroDivisionError
    assert (tmp_path / "model" / "weights").read_text(encoding="utf-8") == "good"
