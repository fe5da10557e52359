"""Tables and pages as Markdown and on a terminal."""

import io

from rich.console import Console

from models.evaluation.text_table import NONE, Page, TextTable, percent

_TABLE = TextTable("Numbers", ("", "one", "word"), (("x|y", "-1.5", "[red]a"), ("z", NONE, "b\nc")))


def test_markdown_keeps_its_columns_whatever_cells_hold() -> None:
    assert _TABLE.markdown().splitlines() == [
        "### Numbers", "", "|  | one | word |", "| --- | --- | --- |", "| x\\|y | -1.5 | [red]a |", "| z | – | b c |",
    ]  # fmt: skip


def test_numbers_stand_at_the_right_and_markup_is_shown() -> None:
    assert [column.justify for column in _TABLE.rich().columns] == ["left", "right", "left"]
    output = io.StringIO()
    Page("[bold]Measured.", [_TABLE]).print(Console(file=output, width=100))
    assert "[red]a" in output.getvalue()
    assert "[bold]Measured." in output.getvalue()


def test_a_page_is_its_head_and_every_table() -> None:
    assert Page("Measured.", [_TABLE, _TABLE]).markdown() == f"Measured.\n\n{_TABLE.markdown()}\n{_TABLE.markdown()}"


def test_a_share_that_is_not_there_is_no_zero() -> None:
    assert (percent(0.0), percent(0.1234), percent(None)) == ("0.0 %", "12.3 %", NONE)


def test_on_a_narrow_terminal_no_digit_is_lost() -> None:
    row = ("recordings", "0.123456789", "98.7654321 %", "name of a sound")
    table = TextTable("", ("", "a long heading", "and one more", "words"), (row,))
    output = io.StringIO()
    Console(file=output, width=32).print(table.rich())
    lines = [line.split("│")[1:-1] for line in output.getvalue().splitlines() if line.startswith("│")]
    assert max(map(len, output.getvalue().splitlines())) <= 32
    assert ["".join(column).replace(" ", "") for column in zip(*lines, strict=True)] == [
        cell.replace(" ", "") for cell in row
    ]
