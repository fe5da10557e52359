"""The flags of the tools: doctor, bench and completion."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.flags import add_address_flags, add_json_flag, add_model_flags, given_settings

SHELLS = ("bash", "zsh", "tcsh")
_SET_UP = """\
for good, in new shells:
  bash, which has the package bash-completion:
    mkdir -p ~/.local/share/bash-completion/completions
    diffusion-link completion bash > ~/.local/share/bash-completion/completions/diffusion-link
  zsh, with "fpath+=(~/.zfunc); autoload -U compinit; compinit" in ~/.zshrc:
    mkdir -p ~/.zfunc
    diffusion-link completion zsh > ~/.zfunc/_diffusion-link
  tcsh:
    diffusion-link completion tcsh > ~/.diffusion-link.tcsh
    echo source ~/.diffusion-link.tcsh >> ~/.tcshrc
"""


def add_tools(commands: Any, run_completion: Callable[[argparse.Namespace], int]) -> None:
    """Add the commands that neither serve nor train; completion is run by who knows all commands."""
    _add_doctor(commands)
    _add_bench(commands)
    _add_completion(commands, run_completion)


def _add_doctor(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="say what is wrong with this installation, and how to mend it",
        description="Check packages, settings, device, artifact, port and all else that serving needs, and write a caption. "
        "Exit status: 0, or 1 where something is wrong.",
    )
    add_address_flags(parser)
    add_json_flag(parser, "one JSON object a check, a line each")
    add_model_flags(parser)
    parser.set_defaults(run=_doctor)


def _add_bench(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the service under load on this machine",
        description="Run the service, a plain handler and the bare networks side by side, and say how they compare. One "
        "round without --full, of one to three minutes. It is `python -m benchmarks.serving`, which has more options.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--artifact", type=Path, metavar="DIR", help="what to serve (the one that ships with the package)")
    what.add_argument(
        "--fake", metavar="A_MS,B_MS", help="a model whose batch of n takes A + B·n ms, to see the service alone"
    )
    parser.add_argument("--device", default="cpu", help="of the artifact: cpu, cuda, mps (%(default)s)")
    parser.add_argument("--full", action="store_true", help="five rounds and a test of memory, as the published figures")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write everything that was measured as JSON, and a chart")
    add_json_flag(parser, "one JSON object a figure, a line each, and one of the verdict")
    parser.set_defaults(run=_bench)


def _add_completion(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands by Tab",
        description="Print the script that lets a shell complete commands, flags and files.",
        epilog=_SET_UP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def _doctor(parsed: argparse.Namespace) -> int:
    from app.command_doctor import doctor

    return doctor(given_settings(parsed), as_json=parsed.json)


def _bench(parsed: argparse.Namespace) -> int:
    from app.command_bench import bench

    return bench(parsed)
