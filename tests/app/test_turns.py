"""Turns: one at a time, in the order of asking, also after an error."""

import threading

import pytest

from app.turns import Turns
from tests.app.fakes import WAIT_S


def test_turns_are_in_the_order_of_asking() -> None:
    turns, order = Turns(), list[int]()

    def take(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    with turns:
        for count, thread in enumerate(threads, 2):
            thread.start()
            while turns._next_ticket < count:
                thread.join(0)
        assert order == []
    for thread in threads:
        thread.join(WAIT_S)
    assert order == [0, 1, 2, 3]


def test_an_error_inside_lets_the_next_one_in() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="inside"), turns:
        raise ValueError("inside")
    with turns:
        pass
