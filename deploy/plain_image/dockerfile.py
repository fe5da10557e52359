"""Reads a Dockerfile and a .dockerignore: as much of both as this project's use, and an error for anything else."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache
from pathlib import Path

KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "WORKDIR"}


class StepError(Exception):
    """A step that cannot be taken, or went wrong; the text says which and why."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined, its flags apart from its text."""

    line: int
    word: str
    flags: dict[str, str]
    text: str

    def __str__(self) -> str:
        """As it stands in the file, on one line."""
        return " ".join([self.word, *(f"--{name}={value}" for name, value in self.flags.items()), self.text])

    def error(self, reason: str) -> StepError:
        """An error that says where it is."""
        return StepError(f"Dockerfile:{self.line}: {_short(str(self))}: {reason}")

    def paths(self) -> tuple[list[str], str]:
        """The sources and the target of a COPY."""
        *sources, target = shlex.split(self.text)
        if not sources or any(re.search(r"[*?\[]|<<", source) for source in sources):
            raise self.error("this knows sources and a target without wildcards only")
        return sources, target

    def command(self) -> list[str]:
        """The command of CMD, ENTRYPOINT or HEALTHCHECK, which is to be a list: a shell would keep SIGTERM to itself."""
        try:
            command = json.loads(self.text.removeprefix("CMD").strip() if self.word == "HEALTHCHECK" else self.text)
        except ValueError:
            command = None
        if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
            raise self.error("is no list of strings in JSON")
        return command


@dataclass
class Stage:
    """A FROM, and what follows it up to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def _short(text: str, width: int = 100) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def read_instructions(text: str) -> list[Instruction]:
    """All instructions of a Dockerfile."""
    found: list[Instruction] = []
    joined, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # Also between continued lines, as Docker has it.
        begun = begun if joined else number
        joined += line.removesuffix("\\") + " "
        if not line.endswith("\\"):
            found.append(_instruction(joined.strip(), begun))
            joined = ""
    return found


def _instruction(text: str, line: int) -> Instruction:
    word, _, rest = text.partition(" ")
    flags = {}
    while flag := re.match(r"--([a-z-]+)=(\S+)\s+", rest := rest.lstrip()):
        flags[flag[1]], rest = flag[2], rest[flag.end() :]
    instruction = Instruction(line, word, flags, rest)
    if word not in KNOWN:
        raise instruction.error("not an instruction that this knows")
    return instruction


def read_stages(instructions: Sequence[Instruction]) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first FROM with their defaults, and the stages."""
    arguments, stages = dict[str, str](), list[Stage]()
    for instruction in instructions:
        if instruction.word == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            stages.append(Stage(name or f"stage {len(stages)}", base, [instruction]))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.word == "ARG":
            name, _, value = instruction.text.partition("=")
            arguments[name] = value
        else:
            raise instruction.error("stands before the first FROM")
    if not stages:
        raise StepError("Dockerfile: has no FROM")
    return arguments, stages


def sent(path: str, patterns: Sequence[str]) -> bool:
    """Whether .dockerignore lets a path reach the build: the last pattern that is of it, or of a folder above, decides."""
    parts = path.split("/")
    above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    ignored = False
    for pattern in patterns:
        if any(_pattern(pattern.removeprefix("!")).fullmatch(candidate) for candidate in above):
            ignored = not pattern.startswith("!")
    return not ignored


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """`**/` is any number of folders, and `*` stays within one."""
    anywhere = pattern.startswith("**/")
    parts = [translate(part).removesuffix(r"\Z").replace(".*", "[^/]*") for part in pattern.removeprefix("**/").split("/")]
    return re.compile(("(?:.*/)?" if anywhere else "") + "/".join(parts))


def read_ignored(context: Path) -> list[str]:
    """The patterns of a folder's .dockerignore."""
    file = context / ".dockerignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#")]


def check_copies(stages: Sequence[Stage], context: Path) -> None:
    """Refuse a Dockerfile that copies what is not there, is not sent, or is of no stage before it.

    Raises:
        StepError: For the first such path.
    """
    patterns, before = read_ignored(context), set[str]()
    for stage in stages:
        for instruction in stage.instructions:
            if instruction.word != "COPY":
                continue
            origin = instruction.flags.get("from")
            if origin is not None and origin not in before:
                raise instruction.error(f"there is no stage {origin} before it")
            for source in instruction.paths()[0] if origin is None else []:
                if not (context / source).exists():
                    raise instruction.error(f"{source} does not exist")
                if not sent(source, patterns):
                    raise instruction.error(f"{source} is left out by .dockerignore")
        before.add(stage.name)
