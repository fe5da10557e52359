"""ClipDecoder: windows in order, memory bounded, first windows without waiting, one window of a request at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.captioning import AudioFile
from app.decoding import ClipDecoder, DecodedWindow
from app.settings import ServiceSettings
from app.ticket import Ticket
from app.times import StageTimes
from models.errors import AudioTooLongError, EmptyAudioError
from tests.app.fakes import sound

pytestmark = pytest.mark.anyio

_ROOM = 4
"""Of a decoder whose batches have one window."""


@pytest.fixture
async def decoder() -> AsyncIterator[ClipDecoder]:
    decoder = ClipDecoder(ServiceSettings(decode_workers=2, max_duration_s=100.0), 1)
    yield decoder
    decoder.close()


def _file(duration_s: float) -> AudioFile:
    data = sound(duration_s, 8_000)
    return AudioFile("a", lambda: data)


class _Reader:
    """Takes windows and keeps them until it is told to let go."""

    def __init__(self, decoder: ClipDecoder, duration_s: float, ticket: Ticket | None = None) -> None:
        self.windows: list[DecodedWindow] = []
        self.times = StageTimes()
        self._windows = decoder.windows(_file(duration_s), ticket or Ticket(), self.times)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for window in self._windows:
            self.windows.append(window)

    async def has(self, count: int) -> None:
        """Wait until it has so many, and see that it gets no more by itself."""
        while len(self.windows) < count and not self.task.done():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert len(self.windows) == count

    def let_go(self, *indexes: int) -> None:
        for index in indexes:
            self.windows[index].release(None)


async def test_the_windows_of_a_clip(decoder: ClipDecoder) -> None:
    reader = _Reader(decoder, 25.0)
    await reader.task
    assert [(window.index, window.last) for window in reader.windows] == [(0, False), (1, False), (2, True)]
    assert reader.windows[-1].duration_s == 25
    assert reader.times.run_s["decode"] > 0
    assert reader.times.queue_s["decode"] >= 0


async def test_a_long_clip_waits_for_room(decoder: ClipDecoder) -> None:
    reader = _Reader(decoder, 70.0)
    await reader.has(1 + _ROOM)
    reader.let_go(0)
    await reader.has(1 + _ROOM)
    reader.let_go(2)
    await reader.has(2 + _ROOM)
    reader.let_go(1)
    await reader.task
    assert len(reader.windows) == 7


async def test_a_short_clip_does_not_wait_for_long_ones(decoder: ClipDecoder) -> None:
    long = _Reader(decoder, 90.0)
    await long.has(1 + _ROOM)
    short = _Reader(decoder, 1.0)
    await short.task
    assert [window.last for window in short.windows] == [True]
    assert not long.task.done()
    long.task.cancel()


async def test_in_line_a_request_with_many_files_stands_once(decoder: ClipDecoder) -> None:
    many = Ticket()
    readers = [_Reader(decoder, 90.0, many) for _ in range(3)]
    while sum(len(reader.windows) for reader in readers) < 3 + _ROOM:
        await asyncio.sleep(0.001)
    later = _Reader(decoder, 30.0)
    await later.has(1)
    held = [window for reader in readers for window in reader.windows if window.room is not None]
    for count, window in enumerate(held, start=1):
        window.release(None)
        # Whoever got the place stands at the end of the line again before the next one becomes free.
        while sum(len(reader.windows) for reader in [*readers, later]) < 3 + _ROOM + 1 + count:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
    await later.task
    # Of four places the one request got two and the other two, whatever their files.
    assert len(later.windows) == 3
    assert sum(len(reader.windows) for reader in readers) == 3 + _ROOM + 2
    for reader in readers:
        reader.task.cancel()


async def test_a_bad_file_leaves_its_place(decoder: ClipDecoder) -> None:
    with pytest.raises(EmptyAudioError):
        async for _ in decoder.windows(AudioFile("a", lambda: b""), Ticket(), StageTimes()):
            pass
    for _ in range(2 * _ROOM):
        reader = _Reader(decoder, 110.0)
        while not reader.task.done():
            for window in reader.windows:
                window.release(None)
            reader.windows.clear()
            await asyncio.sleep(0.001)
        with pytest.raises(AudioTooLongError):
            await reader.task
