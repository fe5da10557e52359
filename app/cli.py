"""The `diffusion-link` command: serve, caption, index, search, plan, the training commands, and tools.

What a command needs is imported when it runs: `--help` is quick, and serving never loads training.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.command_tools import add_tools
from app.flags import (
    DEFAULT_INDEX_FILE,
    UsageError,
    add_address_flags,
    add_json_flag,
    add_model_flags,
    caption_options,
    help_of,
    service_settings,
)
from app.grouped_help import SERVING, GroupedHelp
from app.schemas import CaptionOptions
from models.errors import DiffusionLinkError

USAGE_STATUS = 2
"""Exit status where nothing could be begun: settings, artifact, device or port."""
INTERRUPTED_STATUS = 130
UNREAD_STATUS = 141
"""Whoever read the output is gone, as after `| head`; what a shell says of a program that SIGPIPE ended."""

_WITHOUT_TRAINING = (*SERVING, "doctor", "bench")
"""Commands that need not know of the training commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        "diffusion-link", description="Captions for sounds, served and trained.", formatter_class=GroupedHelp
    )
    parser.add_argument("--version", action="version", version=version("diffusion-link"))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_plain(commands)
    if not arguments or arguments[0] not in _WITHOUT_TRAINING:
        from models.training.commands import joined_words

        _add_training(commands)
        arguments = joined_words(arguments)
    if not arguments:
        parser.print_help()
        return USAGE_STATUS
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except DiffusionLinkError as error:
        print(f"diffusion-link: {error}", file=sys.stderr)
        return USAGE_STATUS
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # Python would try to write the rest once more at its end, and fail aloud.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD_STATUS
    return status


def _add_plain(commands: Any) -> None:
    """Add the commands that serve, or do without a server what it does, and the tools."""
    _add_serve(commands)
    _add_caption(commands)
    _add_index(commands)
    _add_search(commands)
    _add_plan(commands)
    add_tools(commands, run_completion=_completion)


def _add_training(commands: Any) -> None:
    from models.training.commands import add_commands

    add_commands(commands)


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Serve captions over HTTP. Every setting can also come from a DIFFUSION_LINK_* variable.",
    )
    add_address_flags(parser)
    add_model_flags(parser)
    parser.set_defaults(run=_serve)


def _add_caption(commands: Any) -> None:
    parser = commands.add_parser("caption", help="caption files", description="Caption sound files, without a server.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="WAV, FLAC, OGG or MP3")
    add_json_flag(parser, "one JSON object a file, a line each")
    for name in ("candidates", "max_new_tokens", "seed"):
        default = CaptionOptions.model_fields[name].default
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=default, metavar="N", help=help_of(CaptionOptions, name))
    parser.add_argument("--timeline", action="store_true", help=help_of(CaptionOptions, "timeline"))
    parser.add_argument("--no-bridge", dest="bridge", action="store_false", help="caption the unbridged CLAP embedding")
    add_model_flags(parser)
    parser.set_defaults(run=_caption)


def _add_index(commands: Any) -> None:
    parser = commands.add_parser(
        "index",
        help="embed a folder of sounds, to be searched",
        description="Embed every WAV, FLAC, OGG and MP3 below a folder. Run again, it embeds what is new or changed.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=DEFAULT_INDEX_FILE, metavar="FILE", help="the index (%(default)s)")
    add_json_flag(parser, "one JSON object: the index, and how many sounds it has")
    add_model_flags(parser)
    parser.set_defaults(run=_index)


def _add_search(commands: Any) -> None:
    parser = commands.add_parser(
        "search",
        help="find sounds of an index by words",
        description="List the sounds of an index that are nearest to a text.",
    )
    parser.add_argument("text", metavar="TEXT", help='what is heard, as "a dog barks"')
    parser.add_argument("--index", type=Path, default=DEFAULT_INDEX_FILE, metavar="FILE", help="the index (%(default)s)")
    parser.add_argument("-k", dest="count", type=int, default=10, metavar="N", help="most sounds to list (%(default)s)")
    add_json_flag(parser, "one JSON object a sound, a line each")
    add_model_flags(parser)
    parser.set_defaults(run=_search)


def _add_plan(commands: Any) -> None:
    parser = commands.add_parser(
        "plan",
        help="say what a device's memory has room for",
        description="Measure what an artifact's networks and batches take of memory, and print the budgets of serving.",
    )
    parser.add_argument(
        "--device-memory",
        metavar="SIZE",
        help="plan for a GPU with so much memory, as 24GiB, in bf16 unless --precision is given; unset: for the device",
    )
    add_json_flag(parser, "one JSON object, in bytes")
    add_model_flags(parser)
    parser.set_defaults(run=_plan)


def _serve(parsed: argparse.Namespace) -> int:
    settings = service_settings(parsed)
    from app.command_serve import serve

    return serve(settings)


def _caption(parsed: argparse.Namespace) -> int:
    settings, options = service_settings(parsed), caption_options(parsed)
    from app.command_caption import caption

    return caption(parsed.files, options, settings, as_json=parsed.json)


def _index(parsed: argparse.Namespace) -> int:
    settings = service_settings(parsed)
    from app.command_index import index

    return index(parsed.folder, parsed.output, settings, as_json=parsed.json)


def _search(parsed: argparse.Namespace) -> int:
    settings = service_settings(parsed)
    if parsed.count < 1:
        raise UsageError("-k: the least is 1")
    from app.command_search import search

    return search(parsed.text, parsed.index, parsed.count, settings, as_json=parsed.json)


def _plan(parsed: argparse.Namespace) -> int:
    settings = service_settings(parsed)
    from app.command_plan import parse_bytes, plan

    try:
        device_memory = None if parsed.device_memory is None else parse_bytes(parsed.device_memory)
    except ValueError as error:
        raise UsageError(f"--device-memory: {error}") from error
    return plan(settings, device_memory, as_json=parsed.json)


def _completion(parsed: argparse.Namespace) -> int:
    from app.command_completion import completion

    return completion(parsed.shell, _add_plain, _add_training)


if __name__ == "__main__":
    sys.exit(main())
