"""What the training commands share: how argparse is given one, and how an error that is the user's to mend is told."""

import argparse
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from rich.console import Console

from models.errors import DiffusionLinkError
from models.output import output_of

Run = Callable[[argparse.Namespace], int]

_SHARED = ("train-decoder",)
"""Commands that several processes can share; any other would be run once by each, over the other's files."""


@runtime_checkable
class Subparsers(Protocol):
    """What `argparse.ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """Add a command."""
        ...


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that `reporting` looks for."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in place of text")


def reporting(name: str, run: Callable[[argparse.Namespace], None]) -> Run:
    """Turn an error that is the user's to mend into one line and an exit status."""

    def run_and_report(arguments: argparse.Namespace) -> int:
        from models.training.processes import refuse_several_processes

        try:
            if name not in _SHARED:
                refuse_several_processes(name)
            with output_of(name, as_json=arguments.json):
                run(arguments)
        except DiffusionLinkError as error:
            message = f"diffusion-link {name}: {error}"
            Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            Console(stderr=True).print(f"diffusion-link {name}: stopped; --resume goes on", style="yellow")
            return 130
        return 0

    return run_and_report
