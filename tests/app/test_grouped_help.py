"""Commands under headings, all of them once."""

import argparse

from app.grouped_help import GroupedHelp


def _help(*names: str) -> str:
    parser = argparse.ArgumentParser("program", formatter_class=GroupedHelp)
    parser.add_argument("--flag", help="a flag")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in names:
        commands.add_parser(name, help=f"what {name} does")
    return parser.format_help()


def test_headings() -> None:
    lines = [" ".join(line.split()) for line in _help("doctor", "embed", "serve", "new", "search").splitlines()]
    assert lines[lines.index("commands:") :] == [
        "commands:",
        "serving:",
        "serve what serve does",
        "search what search does",
        "training:",
        "embed what embed does",
        "new what new does",
        "tools:",
        "doctor what doctor does",
    ]
    assert "--flag FLAG a flag" in lines


def test_a_heading_of_nothing_is_left_out() -> None:
    text = _help("serve", "doctor")
    assert "training:" not in text
    assert "tools:" in text
