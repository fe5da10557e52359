"""Whether a program printed what a page shows: numbers within their rounding, and "..." for what is left out."""

import re

_NUMBER = re.compile(r"-?\d+\.\d+")
_SLACK = 1.1e-4
"""Scores differ by this from one processor to another."""


def agrees(shown: str, printed: str) -> bool:
    """Whether `printed` is what `shown` shows."""
    numbers = _NUMBER.findall(shown)
    words = [r"(-?\d+\.\d+)".join(map(re.escape, _NUMBER.split(part))) for part in _lines(shown).split("...")]
    found = re.fullmatch(".*?".join(words), _lines(printed), re.DOTALL)
    return found is not None and all(map(_close, numbers, found.groups()))


def _close(shown: str, printed: str) -> bool:
    rounding = 0.5 * 10.0 ** -len(shown.partition(".")[2])
    return abs(float(shown) - float(printed)) <= rounding + _SLACK


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
