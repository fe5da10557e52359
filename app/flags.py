"""Flags that several commands have, and the settings that they make: from flags, else from the environment."""

import argparse
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.schemas import CaptionOptions
from app.settings import ServiceSettings
from models.errors import DiffusionLinkError, validation_faults

DEFAULT_INDEX_FILE = Path("sound-index.npz")
"""Where `index` writes and `search` looks; here, since a command line is read without what reads an index."""
_SETTINGS = ("host", "port", "device", "precision", "artifact")
"""What flags can say of the settings."""

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class UsageError(DiffusionLinkError):
    """Settings that cannot be, told to the user in one line."""


def add_address_flags(parser: argparse.ArgumentParser) -> None:
    """Add what says where to listen."""
    parser.add_argument("--host", help=help_of(ServiceSettings, "host"))
    parser.add_argument("--port", type=int, help=help_of(ServiceSettings, "port"))


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add what says which networks compute, where, and in what."""
    parser.add_argument("--device", help=help_of(ServiceSettings, "device"))
    parser.add_argument("--precision", help=help_of(ServiceSettings, "precision"))
    parser.add_argument("--artifact", type=Path, metavar="DIR", help=help_of(ServiceSettings, "artifact"))


def add_json_flag(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --json, which prints objects for programs; `what` says which."""
    parser.add_argument("--json", action="store_true", help=what)


def help_of(kind: type[BaseModel], name: str) -> str:
    """What a setting is, and its default."""
    field = kind.model_fields[name]
    return f"{field.description} ({field.default})" if field.default is not None else str(field.description)


def given_settings(parsed: argparse.Namespace) -> dict[str, Any]:
    """The settings that flags say."""
    flags = {name: getattr(parsed, name, None) for name in _SETTINGS}
    return {name: value for name, value in flags.items() if value is not None}


def service_settings(parsed: argparse.Namespace) -> ServiceSettings:
    """Settings from flags, and from the environment where a flag is not given.

    Raises:
        UsageError: a setting is out of range.
    """
    return _checked(ServiceSettings, given_settings(parsed))


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
