"""A document as one self-contained HTML file: styles and plots inside, nothing fetched, light or dark as one likes."""

import html
import re
from collections.abc import Sequence

from models.evaluation.document import Plot, Section
from models.evaluation.text_table import TextTable

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --page: #ffffff; --line: #d0d0d0; --soft: #f3f3f3; --quiet: #555555; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --page: #161616; --line: #444444; --soft: #242424; --quiet: #aaaaaa; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: var(--text); background: var(--page);
  font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
code { background: var(--soft); padding: 0 0.2em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tbody tr:nth-child(even) { background: var(--soft); }
td.number { text-align: right; white-space: nowrap; }
tbody th { font-weight: normal; white-space: nowrap; }
figure { margin: 1.5rem 0; max-width: 700px; }
figure svg { display: block; width: 100%; height: auto; background: #ffffff; }
figcaption { color: var(--quiet); font-size: 0.9rem; margin-top: 0.4rem; }
"""
"""Plots lie on white in the dark too: their colours were chosen for it."""


def html_document(title: str, sections: Sequence[Section]) -> str:
    """Write all sections."""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_inline(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{_inline(section.title)}</h2>", *(_block(block) for block in section.text.split("\n\n") if block.strip())]
    parts += [table_html(table) for table in section.tables]
    parts += [_figure(plot) for plot in section.plots]
    return "\n".join(parts)


def _block(block: str) -> str:
    """A paragraph, or a list where every line is an item."""
    lines = block.strip().splitlines()
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def table_html(table: TextTable) -> str:
    """A table under its heading; on a narrow screen it scrolls sideways."""
    head = "".join(f'<th scope="col">{_inline(column)}</th>' for column in table.columns)
    rows = "\n".join(f"<tr>{_row(row)}</tr>" for row in table.rows)
    return (
        f'<h3>{_inline(table.title)}</h3>\n<div class="scroll" tabindex="0">\n<table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = cells
    return f'<th scope="row">{_inline(first)}</th>' + "".join(_cell(cell) for cell in others)


def _cell(cell: str) -> str:
    numeric = re.match(r"(\*\*)?[-+–]?\d", cell)
    return f'<td class="number">{_inline(cell)}</td>' if numeric else f"<td>{_inline(cell)}</td>"


def _inline(text: str) -> str:
    """Escape a text, then set its `code` and **bold**."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)


def _figure(plot: Plot) -> str:
    """The SVG without what only a file of its own needs."""
    drawing = plot.svg[plot.svg.index("<svg") :].rstrip()
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(plot.title)}"', 1)
    return f"<figure>\n{drawing}\n<figcaption>{_inline(plot.caption)}</figcaption>\n</figure>"
