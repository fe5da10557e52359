"""ClipDecoder: files to windows in a few threads, a window at a time, with a bound on the windows that lie in memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from app.captioning import AudioFile
from app.settings import ServiceSettings
from app.ticket import Ticket
from app.times import StageTimes
from models.audio import AudioLimits, WindowStream

_ROOM_IN_BATCHES = 4
"""Batches of decoded windows that may wait in memory: enough to keep the device busy while more are decoded."""


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """One window of a clip; `release` is to be called when it is done with."""

    samples: Float32[np.ndarray, " samples"]
    index: int
    last: bool
    duration_s: float
    """Of the clip, so far."""
    room: asyncio.Semaphore | None

    def release(self, _: object) -> None:
        """Make room for another window."""
        if self.room is not None:
            self.room.release()


class ClipDecoder:
    """Decode threads, and room for what they make. Make and use it on one event loop."""

    def __init__(self, settings: ServiceSettings, windows_a_batch: int) -> None:
        """Start no thread yet."""
        self._limits = AudioLimits(max_duration_s=settings.max_duration_s)
        self._threads = ThreadPoolExecutor(settings.decode_workers, "decode")
        self._room = asyncio.Semaphore(_ROOM_IN_BATCHES * windows_a_batch)

    async def windows(self, file: AudioFile, ticket: Ticket, times: StageTimes) -> AsyncIterator[DecodedWindow]:
        """Decode a file as fast as there is room; nobody overtakes in line, and a request stands in it once.

        The first window of a file needs no room: there are at most as many as the service admits files, and a short clip
        is not held up by long ones that fill the room.

        Raises:
            AudioError: the file cannot be used; some windows may have been given before.
        """
        asked_s, run_s, index = time.perf_counter(), 0.0, 0
        stream: WindowStream | None = None
        while stream is None or not stream.ended:
            async with ticket.decoding:
                room = self._room if index else None
                if room is not None:
                    await room.acquire()
                try:
                    stream, samples, took_s = await self._in_thread(file, stream)
                except BaseException:
                    if room is not None:
                        room.release()
                    raise
            run_s += took_s
            yield DecodedWindow(samples, index, stream.ended, stream.duration_s, room)
            index += 1
        times.add_run("decode", run_s)
        times.add_queue("decode", time.perf_counter() - asked_s - run_s)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(
        self, file: AudioFile, stream: WindowStream | None
    ) -> tuple[WindowStream, Float32[np.ndarray, " samples"], float]:
        def take() -> tuple[WindowStream, Float32[np.ndarray, " samples"], float]:
            started_s = time.perf_counter()
            opened = stream or WindowStream(file.read(), self._limits)
            return opened, opened.take(), time.perf_counter() - started_s

        return await asyncio.get_running_loop().run_in_executor(self._threads, take)
