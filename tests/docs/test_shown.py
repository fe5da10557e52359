"""The comparison that the other tests of this folder rely on."""

import pytest

from tests.docs.shown import agrees


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb", "a\nb\n"),
        ('"score":0.9925', '"score":0.9924'),
        ("[-0.0437,...]", "[-0.043688978999853134,0.17,0.3]"),
        ("a ... c", "a b\nb c"),
    ],
)
def test_the_same(shown: str, printed: str) -> None:
    assert agrees(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb", "a"),
        ('"score":0.9925', '"score":0.9917'),
        ("x 1.5", "x -1.5"),
        ("a", "a b"),
        ("5 sounds", "6 sounds"),
        ("a", ""),
    ],
)
def test_not_the_same(shown: str, printed: str) -> None:
    assert not agrees(shown, printed)
