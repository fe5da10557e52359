"""What a command that does not train says on standard output: JSON for programs, tables for people.

Commands that train have their like in `models/output.py`, which this package does not see.
"""

import json
import os
import sys
from collections.abc import Mapping

from rich.console import Console

_LOG_WIDTH = 120
"""Of tables where there is no terminal whose width could be asked for; rich would squeeze them into 80 columns."""

_STREAMS = range(3)
"""Standard input and error tell the terminal's width too, where only the output goes through a pipe."""


def print_json(facts: Mapping[str, object]) -> None:
    """Print one object, now; a name that is not UTF-8 is told by escapes that give its bytes again."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def table_console() -> Console:
    """Standard output, as wide as the terminal or COLUMNS; in a log, wide enough for tables."""
    known = "COLUMNS" in os.environ or any(map(os.isatty, _STREAMS))
    return Console() if known else Console(width=_LOG_WIDTH)
