"""Tables of text, and a page of them, drawn for a terminal or written as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

NONE = "–"
"""Stands where there is no value."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text, before it is drawn for a terminal or written as Markdown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Write a GitHub table under a heading."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        cells = (tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in line) for line in lines)
        return "\n".join([f"### {self.title}", "", *(f"| {' | '.join(line)} |" for line in cells), ""])

    def rich(self) -> Table:
        """Draw for a terminal; numbers stand at the right, and are broken rather than cut off where it is narrow."""
        table = Table(title=self.title, title_justify="left")
        table.add_column(*self.columns[:1], overflow="fold")
        for number, column in enumerate(self.columns[1:], start=1):
            numeric = all(row[number][:1] in "-+0123456789–" for row in self.rows)
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in self.rows:
            # As Text, brackets in a caption are no markup.
            table.add_row(*(Text(cell) for cell in row))
        return table


@dataclass(frozen=True, slots=True)
class Page:
    """What was measured, in a paragraph or more, and the tables in the order in which they are shown."""

    head: str
    tables: Sequence[TextTable]

    def markdown(self) -> str:
        """Write everything as Markdown."""
        return "\n".join([self.head, "", *(table.markdown() for table in self.tables)])

    def print(self, console: Console) -> None:
        """Draw everything on a terminal."""
        for table in self.tables:
            console.print(table.rich())
        console.print(self.head, markup=False, highlight=False)


def percent(share: float | None) -> str:
    """A share of 1 for people."""
    return NONE if share is None else f"{100 * share:.1f} %"
