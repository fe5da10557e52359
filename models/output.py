"""What a training or evaluation command says on standard output: lines and tables for people, or JSON for programs.

Whoever has something to say calls `say` or `show` with both, and need not know which is wanted: the command knows, and opens
an `output_of`. Programs get one object a line, with the command's name in it, and nothing else.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from pydantic_core import to_jsonable_python
from rich.console import Console

_LOG_WIDTH = 120
"""Of tables where there is no terminal whose width could be asked for; rich would squeeze them into 80 columns."""

_STREAMS = range(3)
"""Standard input and error tell the terminal's width too, where only the output goes through a pipe."""

_json_command: ContextVar[str | None] = ContextVar("json_command", default=None)
"""The command that runs, where programs read what it says."""


@contextmanager
def output_of(command: str, *, as_json: bool) -> Iterator[None]:
    """Say what is said in this block as JSON, or for people."""
    token = _json_command.set(command if as_json else None)
    try:
        yield
    finally:
        _json_command.reset(token)


def say(text: str, **facts: object) -> None:
    """Say a line; to programs, its facts."""
    if _json_command.get() is not None:
        _print_json(facts)
    else:
        # Not by rich, which would break the line: a terminal does that by itself, and in a log it belongs together. A bar on
        # the same terminal makes room for it.
        _print(text)


def show(draw: Callable[[Console], None], **facts: object) -> None:
    """Draw tables; to programs, say their facts."""
    if _json_command.get() is not None:
        _print_json(facts)
    else:
        draw(table_console())


def say_written(directory: Path, text: str = "", **facts: object) -> None:
    """Say, as the last of a command's lines, where its work is to be found."""
    say(f"Written to {directory}{text}", written=directory, **facts)


def table_console() -> Console:
    """Standard output, as wide as the terminal or COLUMNS; in a log, wide enough for tables."""
    known = "COLUMNS" in os.environ or any(map(os.isatty, _STREAMS))
    return Console() if known else Console(width=_LOG_WIDTH)


def _print_json(facts: dict[str, object]) -> None:
    text = json.dumps(to_jsonable_python({"command": _json_command.get(), **facts}))
    # NaN and infinity are no JSON.
    _print(json.dumps(json.loads(text, parse_constant=lambda _: None)))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    # A log, or a program that waits for the next line, has it now.
    sys.stdout.flush()
