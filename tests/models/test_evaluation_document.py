"""A document as Markdown: sections in order, tables, and plots as files beside it."""

from models.evaluation.document import Plot, Section, markdown_document
from models.evaluation.text_table import TextTable


def test_everything_stands_in_order() -> None:
    table = TextTable("numbers", ("", "a"), (("x", "**1**"),))
    plot = Plot("curve", "A curve", "It rises with `x`.", "<svg/>")
    text = markdown_document("Title", [Section("One", "Words.", [table], [plot]), Section("Two")])
    parts = ["# Title", "## One", "Words.", "### numbers", "| x | **1** |"]
    parts += ["![A curve](plots/curve.svg)", "It rises with", "## Two"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "<svg" not in text
