"""What every training command does beside its work: one line for a fault, and no second process over the same files."""

import argparse

import pytest

from models.errors import RecipeError
from models.training.command_kit import reporting


def _fail(_: argparse.Namespace) -> None:
    raise RecipeError("mine.toml: [brackets] are no markup")


def _interrupt(_: argparse.Namespace) -> None:
    raise KeyboardInterrupt


def test_a_fault_of_the_users_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert reporting("embed", _fail)(argparse.Namespace()) == 1
    assert capsys.readouterr().err == "diffusion-link embed: mine.toml: [brackets] are no markup\n"


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert reporting("embed", _interrupt)(argparse.Namespace()) == 130
    assert "--resume goes on" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "status"), [("corpus", 1), ("export", 1), ("train-decoder", 0)])
def test_only_the_decoder_is_trained_by_several_processes(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    ran: list[str] = []
    assert reporting(name, lambda _: ran.append(name))(argparse.Namespace()) == status
    assert bool(ran) == (status == 0)
    assert ("2 processes" in capsys.readouterr().err) == (status == 1)
