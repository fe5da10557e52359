"""The bar: it shows how far a stage is, or nothing at all."""

import pytest

from models.training.progress import progress_bar


def _draw(*, shown: bool) -> None:
    with progress_bar(shown=shown) as progress:
        task = progress.add_task("counting", total=4)
        for done in range(5):
            progress.update(task, completed=done)


def test_it_tells_what_is_done_of_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    _draw(shown=True)
    out = capsys.readouterr().out
    assert "counting" in out
    assert "4/4" in out


def test_a_bar_that_is_not_shown_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _draw(shown=False)
    assert capsys.readouterr().out.strip() == ""
