"""The `diffusion-link` command: serve, caption, index, search, plan, and the training commands.

What a command needs is imported when it runs: `--help` is quick, and serving never loads training.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.schemas import CaptionOptions
from app.settings import ServiceSettings
from app.sound_index import DEFAULT_FILE
from models.errors import DiffusionLinkError, validation_faults

USAGE_STATUS = 2
"""Exit status where nothing could be begun: settings, artifact, device or port."""
INTERRUPTED_STATUS = 130

_SERVING_COMMANDS = ("serve", "caption", "index", "search", "plan")

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class UsageError(DiffusionLinkError):
    """Settings that cannot be, told to the user in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser("diffusion-link", description="Captions for sounds, served and trained.")
    parser.add_argument("--version", action="version", version=version("diffusion-link"))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_caption(commands)
    _add_index(commands)
    _add_search(commands)
    _add_plan(commands)
    if not arguments or arguments[0] not in _SERVING_COMMANDS:
        from models.training.commands import add_commands, joined_words

        add_commands(commands)
        arguments = joined_words(arguments)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except DiffusionLinkError as error:
        print(f"diffusion-link: {error}", file=sys.stderr)
        return USAGE_STATUS
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    return status


def service_settings(parsed: argparse.Namespace) -> ServiceSettings:
    """Settings from flags, and from the environment where a flag is not given.

    Raises:
        UsageError: a setting is out of range.
    """
    flags = {name: getattr(parsed, name, None) for name in ("host", "port", "device", "precision", "artifact")}
    return _checked(ServiceSettings, {name: value for name, value in flags.items() if value is not None})


def caption_options(parsed: argparse.Namespace) -> CaptionOptions:
    """Options of a caption, from flags.

    Raises:
        UsageError: an option is out of range.
    """
    return _checked(CaptionOptions, {name: getattr(parsed, name) for name in CaptionOptions.model_fields})


def _checked(kind: type[SettingsT], values: dict[str, Any]) -> SettingsT:
    try:
        return kind(**values)
    except ValidationError as error:
        raise UsageError("; ".join(validation_faults(error, "settings"))) from error


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Serve captions over HTTP. Every setting can also come from a DIFFUSION_LINK_* variable.",
    )
    parser.add_argument("--host", help=_help(ServiceSettings, "host"))
    parser.add_argument("--port", type=int, help=_help(ServiceSettings, "port"))
    _add_model_flags(parser)
    parser.set_defaults(run=_serve)


def _add_caption(commands: Any) -> None:
    parser = commands.add_parser("caption", help="caption files", description="Caption sound files, without a server.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="WAV, FLAC, OGG or MP3")
    parser.add_argument("--json", action="store_true", help="one JSON object a file, a line each")
    for name in ("candidates", "max_new_tokens", "seed"):
        default = CaptionOptions.model_fields[name].default
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=default, metavar="N", help=_help(CaptionOptions, name))
    parser.add_argument("--timeline", action="store_true", help=_help(CaptionOptions, "timeline"))
    parser.add_argument("--no-bridge", dest="bridge", action="store_false", help="caption the unbridged CLAP embedding")
    _add_model_flags(parser)
    parser.set_defaults(run=_caption)


def _add_index(commands: Any) -> None:
    parser = commands.add_parser(
        "index",
        help="embed a folder of sounds, to be searched",
        description="Embed every WAV, FLAC, OGG and MP3 below a folder. Run again, it embeds what is new or changed.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=DEFAULT_FILE, metavar="FILE", help="the index (%(default)s)")
    _add_model_flags(parser)
    parser.set_defaults(run=_index)


def _add_search(commands: Any) -> None:
    parser = commands.add_parser(
        "search",
        help="find sounds of an index by words",
        description="List the sounds of an index that are nearest to a text.",
    )
    parser.add_argument("text", metavar="TEXT", help='what is heard, as "a dog barks"')
    parser.add_argument("--index", type=Path, default=DEFAULT_FILE, metavar="FILE", help="the index (%(default)s)")
    parser.add_argument("-k", dest="count", type=int, default=10, metavar="N", help="most sounds to list (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a sound, a line each")
    _add_model_flags(parser)
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
    _add_model_flags(parser)
    parser.set_defaults(run=_plan)


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help=_help(ServiceSettings, "device"))
    parser.add_argument("--precision", help=_help(ServiceSettings, "precision"))
    parser.add_argument("--artifact", type=Path, metavar="DIR", help=_help(ServiceSettings, "artifact"))


def _help(kind: type[BaseModel], name: str) -> str:
    field = kind.model_fields[name]
    return f"{field.description} ({field.default})" if field.default is not None else str(field.description)


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

    return index(parsed.folder, parsed.output, settings)


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
    return plan(settings, device_memory)


if __name__ == "__main__":
    sys.exit(main())
