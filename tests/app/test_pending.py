"""Pending: the future is resolved exactly once, whoever comes first."""

import math
import threading
from concurrent.futures import CancelledError

import pytest

from app.pending import Pending
from tests.app.fakes import WAIT_S


def _pending() -> Pending[str, str]:
    return Pending("item", 1, None, 10.0, math.inf)


def test_an_answer_says_how_long_it_waited_and_ran() -> None:
    pending = _pending()
    assert pending.begin()
    pending.answer("value", 12.0, 15.0)
    answer = pending.future.result(0)
    assert (answer.value, answer.queue_s, answer.run_s) == ("value", 2.0, 3.0)


def test_what_waits_can_be_failed() -> None:
    pending = _pending()
    assert pending.fail(ValueError("late"))
    with pytest.raises(ValueError, match="late"):
        pending.future.result(0)


def test_an_answered_item_cannot_fail() -> None:
    pending = _pending()
    pending.begin()
    pending.answer("value", 11.0, 12.0)
    assert not pending.fail(ValueError("late"))
    assert pending.future.result(0).value == "value"


def test_the_first_error_stays() -> None:
    pending = _pending()
    pending.begin()
    assert pending.fail(ValueError("first"))
    assert not pending.fail(ValueError("second"))
    pending.answer("value", 11.0, 12.0)
    with pytest.raises(ValueError, match="first"):
        pending.future.result(0)


def test_a_cancelled_item_is_abandoned_and_neither_begins_nor_fails() -> None:
    pending = _pending()
    assert not pending.abandoned
    pending.future.cancel()
    assert pending.abandoned
    assert not pending.begin()
    assert not pending.fail(ValueError("late"))
    assert pending.abandoned
    with pytest.raises(CancelledError):
        pending.future.result(0)


def test_an_item_that_began_cannot_be_cancelled() -> None:
    pending = _pending()
    pending.begin()
    assert not pending.future.cancel()
    assert not pending.abandoned


def test_of_an_answer_and_an_error_at_once_one_wins() -> None:
    for _ in range(200):
        pending = _pending()
        pending.begin()
        resolved: list[object] = []
        pending.future.add_done_callback(resolved.append)
        start = threading.Barrier(2)
        failed: list[bool] = []

        def fail(
            pending: Pending[str, str] = pending, start: threading.Barrier = start, failed: list[bool] = failed
        ) -> None:
            start.wait(WAIT_S)
            failed.append(pending.fail(ValueError("closed")))

        thread = threading.Thread(target=fail)
        thread.start()
        start.wait(WAIT_S)
        pending.answer("value", 11.0, 12.0)
        thread.join(WAIT_S)
        assert len(resolved) == 1
        assert failed == [pending.future.exception(0) is not None]
