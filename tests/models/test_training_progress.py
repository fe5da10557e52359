"""Progress: a bar on a terminal, lines in a log, nothing where nothing is to be shown; never on standard output."""

import os
import pty
import subprocess
import sys
import time

import pytest

from models.training import progress as module
from models.training.progress import progress_bar

_COUNT = """
import sys
from models.output import say
from models.training.progress import progress_bar
with progress_bar() as progress:
    task = progress.add_task("counting", total=4)
    for done in range(5):
        progress.update(task, completed=done)
        if done == 2:
            say("half of it is done")
"""


def _draw(*, shown: bool = True) -> None:
    with progress_bar(shown=shown) as progress:
        task = progress.add_task("counting", total=4)
        for done in range(5):
            progress.update(task, completed=done)


def test_a_log_has_a_line_for_what_is_done(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # CI sets it, and has no terminal all the same.
    monkeypatch.setenv("FORCE_COLOR", "1")
    _draw()
    assert capsys.readouterr() == ("", "counting: 4/4, 0 s\n")


def test_a_log_has_a_line_a_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    with progress_bar() as progress:
        task = progress.add_task("counting", total=1_000)
        for _ in range(1_000):
            now_s += 0.25
            progress.advance(task)
        progress.advance(task, 0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"counting: {count}/1000" for count in (240, 480, 720, 960, 1_000)]
    assert module._LINE_EVERY_S == 60


def test_a_bar_that_is_not_shown_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _draw(shown=False)
    assert capsys.readouterr() == ("", "")


def _on_a_terminal(*, stdout_too: bool, **environment: str) -> tuple[str, str]:
    """What a terminal shows of the program, and what a file has of its standard output."""
    ours, theirs = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    with subprocess.Popen(
        [sys.executable, "-c", _COUNT],
        stdout=theirs if stdout_too else subprocess.PIPE,
        stderr=theirs,
        env={**known, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(theirs)
        written = b"" if process.stdout is None else process.stdout.read()
        shown = b""
        # Linux ends a terminal with an error once its last user is gone.
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:
            pass
        os.close(ours)
    assert process.returncode == 0
    return shown.decode(), written.decode()


def test_on_a_terminal_lines_stand_above_the_bar() -> None:
    shown, _ = _on_a_terminal(stdout_too=True)
    assert "\x1b[3" in shown, "it has colours"
    before, said, after = shown.partition("half of it is done")
    assert said
    # The line that the bar stood on is erased before the text is written there, and the bar is drawn again below it.
    assert before.endswith("\x1b[2K")
    assert "4/4" in after


def test_beside_a_bar_a_file_has_all_that_is_said() -> None:
    shown, written = _on_a_terminal(stdout_too=False)
    assert written == "half of it is done\n"
    assert "4/4" in shown


def test_no_color() -> None:
    shown, _ = _on_a_terminal(stdout_too=True, NO_COLOR="1")
    assert "4/4" in shown
    # What is left moves the cursor, or sets a weight, and is no colour.
    assert not [code for code in ("\x1b[3", "\x1b[4", "\x1b[9", "\x1b[38;", "\x1b[48;") if code in shown]


def test_a_dumb_terminal_is_a_log() -> None:
    shown, _ = _on_a_terminal(stdout_too=True, TERM="dumb")
    assert shown.replace("\r", "") == "half of it is done\ncounting: 4/4, 0 s\n"
