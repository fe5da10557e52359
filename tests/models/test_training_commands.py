"""The training commands: their words, their defaults, and errors as one line."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from models.training import commands
from models.training.commands import add_commands, joined_words, work_directory
from tests.models.data_set import write_data_set

_NAMES = [
    "corpus",
    "train-clap",
    "embed",
    "train-bridge",
    "train-decoder",
    "evaluate",
    "evaluate gap",
    "evaluate captions",
    "evaluate report",
    "export",
]
_CORPUS = """
[corpus]
sounds = "{folder}/sounds.csv"
recordings = "{folder}/recordings.csv"
encoder_scenes = 1
bridge_scenes = 1
validation_scenes = 1
test_scenes = 1
"""


def _parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    return parser.parse_args(words)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(_CORPUS.format(folder=tmp_path), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", _NAMES)
def test_every_stage_is_a_command(name: str) -> None:
    arguments = _parse(name, "recipes/mine.toml")
    assert callable(arguments.run)
    assert (arguments.resume, arguments.device, arguments.json) == (False, "auto", False)
    assert work_directory(arguments) == Path("work/mine")
    arguments = _parse(name, "recipes/mine.toml", "--work", "elsewhere", "--resume", "--device", "cpu", "--json")
    assert (arguments.resume, arguments.device, arguments.json) == (True, "cpu", True)
    assert work_directory(arguments) == Path("elsewhere")


def test_only_an_evaluation_takes_an_artifact_and_a_split(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = _parse("evaluate", "a.toml", "--artifact", "b", "--split", "validation")
    assert (arguments.artifact, arguments.split) == (Path("b"), "validation")
    with pytest.raises(SystemExit):
        _parse("export", "a.toml", "--split", "test")
    with pytest.raises(SystemExit):
        _parse("evaluate", "a.toml", "--split", "encoder")
    assert "encoder" in capsys.readouterr().err


def test_two_words_are_one_command_and_a_recipe_is_none() -> None:
    assert joined_words(["evaluate", "gap", "a.toml", "--seeds", "2"]) == ["evaluate gap", "a.toml", "--seeds", "2"]
    for words in (["evaluate", "a.toml"], ["evaluate", "--work", "gap", "a.toml"], ["embed", "gap"], ["evaluate"], []):
        assert joined_words(words) == words
    arguments = _parse("evaluate gap", "--split", "validation", "--seeds", "2", "a.toml")
    assert (arguments.split, arguments.seeds, arguments.recipe) == ("validation", 2, Path("a.toml"))
    assert _parse("evaluate gap", "a.toml").seeds is None
    assert joined_words(["evaluate", "captions", "a.toml"]) == ["evaluate captions", "a.toml"]
    arguments = _parse("evaluate captions", "a.toml", "--split", "test", "--seeds", "3")
    assert (arguments.split, arguments.seeds) == ("test", 3)


@pytest.mark.parametrize("name", _NAMES)
def test_an_unreadable_recipe_is_one_line_and_status_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _parse(name, str(tmp_path / "no[bold]thing.toml"), "--work", str(tmp_path))
    assert arguments.run(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"diffusion-link {name}: ")
    assert "no[bold]thing.toml cannot be read" in line


@pytest.mark.parametrize(("name", "section"), [("train-clap", "clap"), ("train-bridge", "bridge"),
                                               ("train-decoder", "decoder"), ("evaluate gap", "comparison"),
                                               ("evaluate captions", "comparison"),
                                               ("export", "export")])  # fmt: skip
def test_a_missing_section_is_named(
    name: str, section: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _parse(name, str(recipe), "--work", str(tmp_path / "work"))
    assert arguments.run(arguments) == 1
    assert f"no section [{section}]" in capsys.readouterr().err


def test_missing_tables_and_stages_are_named(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, needed in (
        ("corpus", ".csv cannot be read"),
        ("embed", "run `diffusion-link corpus`"),
        ("evaluate", "run `diffusion-link export`"),
    ):
        arguments = _parse(name, str(recipe), "--work", str(tmp_path / "work"))
        assert arguments.run(arguments) == 1
        assert needed in capsys.readouterr().err


def test_an_interrupt_tells_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(arguments: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(commands._COMMANDS, "embed", (interrupted, ""))
    arguments = _parse("embed", "a.toml")
    assert arguments.run(arguments) == 130
    assert "--resume" in capsys.readouterr().err


def test_adding_the_commands_loads_nothing_that_only_training_needs() -> None:
    code = "import sys, models.training.commands; print('torch' in sys.modules, 'models.training.recipe' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


def test_a_data_set_is_listed_and_needs_a_released_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data_set(tmp_path / "data")
    path = tmp_path / "mine.toml"
    path.write_text(f'[data]\nkind = "manifest"\nfolder = "{tmp_path / "data"}"\n', encoding="utf-8")

    def run(name: str) -> int:
        arguments = _parse(name, str(path), "--work", str(tmp_path / "work"))
        status: int = arguments.run(arguments)
        return status

    assert run("corpus") == run("corpus") == 0
    assert (tmp_path / "work" / "corpus" / "test" / "clips.jsonl").is_file()
    assert run("train-clap") == run("embed") == 1
    error = capsys.readouterr().err
    assert "no section [clap]" in error
    assert f"`diffusion-link convert clap SOURCE {tmp_path / 'work' / 'clap' / 'model'}`" in error
