"""Room: waits in line, gives way to nobody, survives being cancelled."""

import asyncio

import pytest

from app.room import Room

pytestmark = pytest.mark.anyio


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_for_more_than_is_left_waits() -> None:
    room = Room(3)
    taken = await room.take(2)
    waiting = asyncio.create_task(room.take(2))
    await _settle()
    assert not waiting.done()
    room.give_back(taken)
    assert await waiting == 2


async def test_a_clip_longer_than_the_room_takes_all_of_it() -> None:
    room = Room(3)
    assert await room.take(60) == 3
    waiting = asyncio.create_task(room.take(1))
    await _settle()
    assert not waiting.done()
    room.give_back(3)
    assert await waiting == 1


async def test_nobody_overtakes() -> None:
    room = Room(3)
    await room.take(2)
    long = asyncio.create_task(room.take(3))
    await _settle()
    short = asyncio.create_task(room.take(1))
    await _settle()
    assert not short.done()
    room.give_back(2)
    await long
    await _settle()
    assert not short.done()
    room.give_back(3)
    await short


async def test_who_gives_up_leaves_the_line() -> None:
    room = Room(1)
    await room.take(1)
    gone, waiting = (asyncio.create_task(room.take(1)) for _ in range(2))
    await _settle()
    gone.cancel()
    await _settle()
    room.give_back(1)
    assert await waiting == 1
