"""Flags to settings, and the one --json that every command has which has something to say."""

import argparse
from pathlib import Path

import pytest

from app import cli
from app.flags import (
    UsageError,
    add_address_flags,
    add_json_flag,
    add_model_flags,
    given_settings,
    help_of,
    service_settings,
)
from app.settings import ServiceSettings

_SILENT = ("serve", "completion")
"""One logs JSON, the other prints a script."""


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_address_flags(parser)
    add_model_flags(parser)
    add_json_flag(parser, "objects")
    return parser


def test_only_what_is_given_is_a_setting(parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given_settings(parser.parse_args([])) == {}
    words = ["--port", "0", "--artifact", "there", "--device", "cpu", "--json"]
    assert given_settings(parser.parse_args(words)) == {"port": 0, "artifact": Path("there"), "device": "cpu"}
    monkeypatch.setenv("DIFFUSION_LINK_PORT", "7")
    monkeypatch.setenv("DIFFUSION_LINK_HOST", "::1")
    settings = service_settings(parser.parse_args(words))
    assert (settings.port, settings.host) == (0, "::1")


def test_a_setting_that_cannot_be(parser: argparse.ArgumentParser) -> None:
    with pytest.raises(UsageError, match="port: Input should be less"):
        service_settings(parser.parse_args(["--port", "99999"]))


def test_help_tells_the_default() -> None:
    assert help_of(ServiceSettings, "port").endswith(" (8000)")
    assert help_of(ServiceSettings, "artifact") == ServiceSettings.model_fields["artifact"].description


def test_every_command_speaks_json() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    for add in (cli._add_plain, cli._add_training):
        add(commands)
    assert len(commands.choices) >= 17
    for name, command in commands.choices.items():
        below = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
        parsers = [parser for action in below for parser in action.choices.values()] or [command]
        flags = set.intersection(
            *({flag for action in parser._actions for flag in action.option_strings} for parser in parsers)
        )
        assert ("--json" in flags) == (name not in _SILENT), name
