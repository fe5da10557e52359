"""JSON for programs, and how wide tables are."""

import io
import json
import os

import pytest

from app import output
from app.output import print_json, table_console


def test_one_object_a_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Watched()
    monkeypatch.setattr("sys.stdout", stream)
    name = os.fsdecode(b"\xffa\n.wav")
    print_json({"file": name})
    print_json({"b": None})
    lines = stream.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [{"file": name}, {"b": None}]
    assert stream.getvalue().isascii()
    assert stream.flushed == 2


def test_the_width_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_STREAMS", ())
    monkeypatch.delenv("COLUMNS", raising=False)
    assert table_console().width == 120, "in a log"
    monkeypatch.setenv("COLUMNS", "50")
    assert table_console().width == 50
