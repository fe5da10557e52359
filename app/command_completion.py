"""`diffusion-link completion`: a script by which a shell completes commands, flags, words and files.

It is made once, from the very parsers that read a command line, so that Tab waits for no import of ours.
"""

import argparse
from collections.abc import Callable
from typing import Any

import shtab

_WORDS = {"--device": ("auto", "cpu", "cuda", "mps"), "--precision": ("auto", "fp32", "bf16", "fp16")}
"""What flags are offered that take more than this: a second GPU is cuda:1."""
# zsh takes what shtab writes for one pattern, '(*.toml)', for a list of qualifiers, and finds no file.
_RECIPES: dict[str, Any] = shtab.glob("*.toml") | {"zsh": "_files -g '*.toml'", "tcsh": "f:*.toml"}
_PATHS: dict[str, Any] = {
    "FILE": shtab.FILE,
    "DIR": shtab.DIRECTORY,
    "FOLDER": shtab.DIRECTORY,
    "RECIPE.toml": _RECIPES,
    "source": shtab.FILE,
    "output": shtab.DIRECTORY,
}
"""What is offered by the name that help has for an argument."""


AddCommands = Callable[[Any], None]


class _OneWord:
    """Takes commands of two words, such as `evaluate gap`, as one with a word more; shells complete a word at a time."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands
        self._parsers: dict[str, argparse.ArgumentParser] = {}
        self.longer: dict[str, dict[str, argparse.ArgumentParser]] = {}

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """Add a command, or set a longer one apart, which `join` takes in."""
        first, _, word = name.partition(" ")
        if word:
            return self.longer.setdefault(first, {}).setdefault(word, argparse.ArgumentParser())
        return self._parsers.setdefault(name, self._commands.add_parser(name, **settings))

    def join(self) -> None:
        """Give every first word the flags of its longer commands, and offer their words where the recipe may stand."""
        for first, longer in self.longer.items():
            parser = self._parsers[first]
            known = {flag for action in parser._actions for flag in action.option_strings}
            for action in (action for other in longer.values() for action in other._actions):
                if action.option_strings and known.isdisjoint(action.option_strings):
                    known.update(action.option_strings)
                    parser._add_action(action)
            recipe = parser.add_argument("recipe_after_word", metavar="RECIPE.toml", nargs="?")
            _offer(recipe)
            (before,) = (action for action in parser._actions if action.dest == "recipe")
            before.complete = _words_or_files(first, list(longer))  # type: ignore[attr-defined]


def completion(shell: str, add_plain: AddCommands, add_training: AddCommands) -> int:
    """Print the script; returns the exit status. The two add what `main` has: training has commands of two words."""
    print(shtab.complete(_parser(add_plain, add_training), shell))
    return 0


def _parser(add_plain: AddCommands, add_training: AddCommands) -> argparse.ArgumentParser:
    """A parser like that of `main`, which only completes."""
    parser = argparse.ArgumentParser("diffusion-link")
    parser.add_argument("--version", action="version")
    commands = parser.add_subparsers(metavar="COMMAND")
    add_plain(commands)
    training = _OneWord(commands)
    add_training(training)
    _offer_all(parser)
    training.join()
    return parser


def _offer_all(parser: argparse.ArgumentParser) -> None:
    """Say of every argument of a parser, and of those below it, what can stand there."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _offer_all(below)
        else:
            _offer(action)


def _offer(action: argparse.Action) -> None:
    for flag in action.option_strings:
        action.choices = _WORDS.get(flag, action.choices)
    paths = _PATHS.get(str(action.metavar or action.dest))
    if paths is not None:
        action.complete = paths  # type: ignore[attr-defined]


def _words_or_files(command: str, words: list[str]) -> dict[str, Any]:
    """Offer words, and recipes; shtab has nothing of its own for both."""
    # shtab makes names of files of what a function offers if it is called so.
    function = f"_diffusion_link_{command}_files"
    said = " ".join(words)
    return {
        "bash": function,
        "zsh": f"{{compadd {said}; {_RECIPES['zsh']}}}",
        "tcsh": _RECIPES["tcsh"],
        "preamble": {"bash": f'{function}() {{\n  compgen -W "{said}" -- "$1"\n  {_RECIPES["bash"]} "$1"\n}}\n'},
    }
