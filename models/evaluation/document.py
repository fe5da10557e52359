"""A report as a document: sections of text, tables and plots, and how it is written as Markdown.

Text may hold `code` and **bold**, and nothing else of Markdown but paragraphs and lists of lines that begin with "- ".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.evaluation.text_table import TextTable

PLOTS_FOLDER = "plots"


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure and the sentence beneath it."""

    name: str
    """Of its file, without the suffix."""
    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    text: str = ""
    tables: Sequence[TextTable] = ()
    plots: Sequence[Plot] = ()


def markdown_document(title: str, sections: Sequence[Section]) -> str:
    """Write all sections; plots are files in a folder beside the text."""
    parts = [f"# {title}", ""]
    for section in sections:
        parts += [f"## {section.title}", ""]
        parts += [section.text, ""] if section.text else []
        parts += [table.markdown() for table in section.tables]
        for plot in section.plots:
            parts += [f"![{plot.title}]({PLOTS_FOLDER}/{plot.name}.svg)", "", plot.caption, ""]
    return "\n".join(parts)
