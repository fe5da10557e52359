"""The fenced blocks of README.md, docs/ and examples/README.md, and the comments that say why one is not run here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md"]
COMMANDS = {"bash", "console", "python", "js"}
"""What can be run. Every block must say what it is, so that none is overlooked."""
OTHERS = {"json", "promql", "text", "toml", "yaml"}

_FENCE = re.compile(r"```(.*)")
_NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
_RUN_BY = re.compile(r"<!-- run by (tests/[\w/]+\.py)\b.* -->")


@dataclass(frozen=True)
class Block:
    """A block of commands."""

    page: str
    heading: str
    line: int
    language: str
    text: str
    not_run: str | None
    run_by: str | None

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    """All blocks of commands, in order."""
    return [
        block for page in PAGES for block in blocks_of(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
    ]


def blocks_of(page: str, content: str) -> Iterator[Block]:
    """The blocks of commands of one page."""
    heading, before, lines = "", "", enumerate(content.splitlines(), 1)
    for number, line in lines:
        if fence := _FENCE.fullmatch(line):
            inside = []
            for _, row in lines:
                if row == "```":
                    break
                inside.append(row)
            assert fence[1] in COMMANDS | OTHERS, f"{page}:{number}: a block must say which of {COMMANDS | OTHERS} it is"
            assert fence[1] == "console" or not any(row.startswith("$ ") for row in inside), f"{page}:{number}: console?"
            if fence[1] in COMMANDS:
                not_run, run_by = _NOT_RUN.fullmatch(before), _RUN_BY.fullmatch(before)
                yield Block(page, heading, number, fence[1], "\n".join(inside), not_run and not_run[1], run_by and run_by[1])
        elif line.startswith("#"):
            heading = line
        before = line
