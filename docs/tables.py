"""The tables of these pages that say what the code says: settings, query parameters, errors.

    python docs/tables.py       writes them anew, each below its comment `<!-- table: NAME -->`

A test fails where a page has another table than the code would give it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.errors import TABLE
from app.schemas import BridgeOptions, CaptionOptions, TextOptions
from app.settings import ServiceSettings

DOCS = Path(__file__).parent
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n\n)((?:\|.*\n)*)")
_MIB = 1024 * 1024
_BOUNDS = {"ge": "≥ ", "gt": "> ", "le": "≤ "}


def rendered(page: str) -> str:
    """The text of a page, with its tables as the code would have them."""
    tables = {
        "settings": _settings,
        "caption-query": lambda: _query(CaptionOptions),
        "bridge-query": lambda: _query(BridgeOptions),
        "text-query": lambda: _query(TextOptions),
        "errors": _errors,
    }
    return _TABLE.sub(lambda found: found[1] + tables[found[2]](), page)


def _settings() -> str:
    rows = (
        (f"`DIFFUSION_LINK_{name.upper()}`", _default(field), _range(field), str(field.description))
        for name, field in ServiceSettings.model_fields.items()
    )
    return _table(("variable", "default", "range", ""), rows)


def _query(options: type[BaseModel]) -> str:
    rows = (
        (f"`{name}`", _default(field), _range(field), str(field.description)) for name, field in options.model_fields.items()
    )
    return _table(("parameter", "default", "range", ""), rows)


def _errors() -> str:
    rows = ((str(row.status), f"`{row.type}`", row.meaning) for row in TABLE)
    return _table(("status", "type", "when"), rows)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= _MIB and value % _MIB == 0:
        return f"{value} ({value // _MIB} MiB)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(field: FieldInfo) -> str:
    bounds = (
        f"{sign}{value:_}".replace("_", " ")
        for limit in field.metadata
        for name, sign in _BOUNDS.items()
        if (value := getattr(limit, name, None)) is not None
    )
    return ", ".join(bounds)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def main() -> None:
    """Write the tables into their pages."""
    for path in DOCS.glob("*.md"):
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
