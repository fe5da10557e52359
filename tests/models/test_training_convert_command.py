"""`diffusion-link convert clap`: its words reach the conversion, and its faults are one line."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from models.clap import convert
from models.clap.encoder import ClapEncoder
from models.clap.store import load_clap, save_clap
from models.training.convert_command import add_convert


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_convert(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["convert", *words])
    status: int = arguments.run(arguments)
    return status


def test_a_folder_becomes_an_encoder_that_loads(tiny_clap: ClapEncoder, tmp_path: Path) -> None:
    save_clap(tiny_clap, tmp_path / "released")
    assert _run("clap", str(tmp_path / "released"), str(tmp_path / "work/clap/model")) == 0
    assert load_clap(tmp_path / "work/clap/model").dim == tiny_clap.dim


def test_every_flag_reaches_the_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(convert, "convert_clap", lambda *words, **flags: given.update(flags, words=words))
    assert _run("clap", "a.pt", "out", "--revision", "v1", "--tokenizer", "roberta", "--trust-pickle", "ab12") == 0
    assert given == {
        "words": ("a.pt", Path("out")),
        "revision": "v1",
        "tokenizer": "roberta",
        "trusted_sha256": "ab12",
    }


def test_what_is_not_there_is_one_line_and_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("clap", str(tmp_path / "gone"), str(tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert told.startswith("diffusion-link convert clap:")
    assert str(tmp_path / "gone") in told.replace("\n", "")


def test_something_else_than_an_encoder_cannot_be_converted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _run("bridge", "a", "b")
    assert "clap" in capsys.readouterr().err
