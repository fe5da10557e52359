"""What commands say: text for people, one strict JSON object a line for programs, and never a mixture."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
from rich.table import Table

from models.evaluation.settings import Figures
from models.output import output_of, say, say_written, show, table_console


class _Report(Figures):
    cosine: float


def test_people_read_whole_lines_that_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"[bold]{'long ' * 40}", number=1)
    say_written(Path("a[red]"), ": all of it")
    assert capsys.readouterr().out == f"[bold]{'long ' * 40}\nWritten to a[red]: all of it\n"


def test_programs_read_an_object_a_line_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with output_of("embed", as_json=True):
        say("for people", number=1, path=Path("a\udcff"), names=("b",))
        show(lambda console: console.print("for people"), report=_Report(cosine=0.5))
        say_written(Path("there"), bytes=7)
    say("for people again")
    *lines, last = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"command": "embed", "number": 1, "path": "a\udcff", "names": ["b"]},
        {"command": "embed", "report": {"cosine": 0.5}},
        {"command": "embed", "written": "there", "bytes": 7},
    ]
    assert last == "for people again"


def test_what_is_no_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    with output_of("embed", as_json=True):
        say("", measures={"cosine": float("nan")}, loss=float("inf"), report=_Report.model_construct(cosine=float("nan")))
    found = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found == {"command": "embed", "measures": {"cosine": None}, "loss": None, "report": {"cosine": None}}


def test_without_json_tables_are_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with output_of("embed", as_json=False):
        show(lambda console: console.print(Table("Column")), report=1)
    out = capsys.readouterr().out
    assert "Column" in out
    assert "{" not in out


def test_a_line_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw)))
    say("now")
    assert raw.getvalue() == b"now\n"


def test_tables_are_wide_in_a_log_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "isatty", lambda _: False)
    assert table_console().width == 120
    monkeypatch.setenv("COLUMNS", "50")
    assert table_console().width == 50
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr(os, "isatty", lambda stream: stream == 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((70, 20)))
    assert table_console().width == 70, "a pipe from a terminal: standard error knows its width"
