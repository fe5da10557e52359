"""What every training command does beside its work: one line for a fault, and no second process over the same files."""

import argparse
import json

import pytest

from models.errors import RecipeError
from models.output import say
from models.training.command_kit import reporting

_TEXT, _JSON = argparse.Namespace(json=False), argparse.Namespace(json=True)


def _fail(_: argparse.Namespace) -> None:
    raise RecipeError("mine.toml: [brackets] are no markup")


def _interrupt(_: argparse.Namespace) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("arguments", [_TEXT, _JSON])
def test_a_fault_of_the_users_is_one_line_and_status_1(
    arguments: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reporting("embed", _fail)(arguments) == 1
    assert capsys.readouterr() == ("", "diffusion-link embed: mine.toml: [brackets] are no markup\n")


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert reporting("embed", _interrupt)(_TEXT) == 130
    assert "--resume goes on" in capsys.readouterr().err


def test_with_json_programs_read_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (_TEXT, _JSON):
        assert reporting("embed", lambda _: say("four", number=4))(arguments) == 0
    text, line = capsys.readouterr().out.splitlines()
    assert (text, json.loads(line)) == ("four", {"command": "embed", "number": 4})


@pytest.mark.parametrize(("name", "status"), [("corpus", 1), ("export", 1), ("train-decoder", 0)])
def test_only_the_decoder_is_trained_by_several_processes(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    ran: list[str] = []
    assert reporting(name, lambda _: ran.append(name))(_TEXT) == status
    assert bool(ran) == (status == 0)
    assert ("2 processes" in capsys.readouterr().err) == (status == 1)
