"""Engine: a file's way through decode threads, the embed stage and the write stage, and the device that both share.

Both stages run on threads of their own and take turns on the device; the event loop only awaits their futures.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from app.captioning import (
    AudioFile,
    CaptionedClip,
    Clip,
    ClipJob,
    Embedded,
    EmbeddedClip,
    EmbedJob,
    TextsJob,
    WriteJob,
    decode_clip,
    embed_cost,
    embed_jobs,
    write_jobs,
)
from app.room import Room
from app.schemas import MAX_CANDIDATES, MAX_NEW_TOKENS, CaptionOptions
from app.settings import ServiceSettings
from app.stage import Answer, BatchReport, Stage
from app.times import StageTimes
from app.turns import Turns
from models.audio import WINDOW_S, AudioLimits
from models.pipeline import Pipeline, ScoredCaption

T = TypeVar("T")

_ROOM_IN_BATCHES = 4
"""Batches of decoded audio that may wait in memory: enough to keep the device busy while more is decoded."""
_CLOSE_S = 1.0
"""Seconds that a batch which is running when the stages close has left."""


class Engine:
    """One pipeline at work. Make and use it on one event loop."""

    def __init__(
        self, pipeline: Pipeline, settings: ServiceSettings, on_batch: Callable[[BatchReport], None] = lambda _: None
    ) -> None:
        """Prepare stages and threads; nothing runs before `start`.

        The stages' queues hold all that the service admits, so that an admitted request is never refused half way.
        """
        self.pipeline = pipeline
        self._limits = AudioLimits(max_duration_s=settings.max_duration_s)
        clip_windows = math.ceil(settings.max_duration_s / WINDOW_S)
        room = _ROOM_IN_BATCHES * settings.embed_max_batch_cost
        texts = settings.queue_capacity * embed_cost(TextsJob([""] * settings.max_texts))
        device = Turns()
        self._embed = Stage[EmbedJob, Embedded](
            "embed",
            partial(embed_jobs, pipeline),
            cost_of=embed_cost,
            key_of=type,
            queue_capacity=room + clip_windows + texts,
            max_batch_cost=settings.embed_max_batch_cost,
            device=device,
            on_batch=on_batch,
        )
        self._write = Stage[WriteJob, list[ScoredCaption]](
            "write",
            partial(write_jobs, pipeline),
            cost_of=lambda job: job.cost,
            key_of=lambda job: job.key,
            queue_capacity=settings.queue_capacity * (1 + clip_windows) * MAX_CANDIDATES * MAX_NEW_TOKENS,
            max_batch_cost=settings.write_max_batch_cost,
            device=device,
            on_batch=on_batch,
        )
        self._room = Room(room)
        self._decoding = asyncio.Semaphore(settings.decode_workers)
        self._decode_threads = ThreadPoolExecutor(settings.decode_workers, "decode")
        self._render_threads = ThreadPoolExecutor(1, "render")

    def start(self) -> None:
        """Start the stages."""
        self._embed.start()
        self._write.start()

    @property
    def alive(self) -> bool:
        """Whether both stages have their runner."""
        return self._embed.alive and self._write.alive

    @property
    def stages(self) -> tuple[Stage[EmbedJob, Embedded], Stage[WriteJob, list[ScoredCaption]]]:
        """Both stages, for those who watch their queues."""
        return self._embed, self._write

    async def caption(self, file: AudioFile, options: CaptionOptions, times: StageTimes) -> CaptionedClip:
        """Caption one file, and each of its windows where the options say so.

        Raises:
            AudioError: the file cannot be used.
            StageClosedError: the service stops.
        """
        clip = await self.embed(file, options.seed, times)
        rows = clip.embedded.bridged if options.bridge else clip.embedded.raw
        jobs = [
            WriteJob(row, options.seed, options.candidates, options.max_new_tokens)
            for row in (rows if options.timeline else rows[:1])
        ]
        first, *windows = await _answers(self._write, jobs, times)
        return CaptionedClip(clip.extent, first, windows if options.timeline else None)

    async def embed(self, file: AudioFile, seed: int, times: StageTimes) -> EmbeddedClip:
        """Embed one file and its windows, with the bridge and without.

        Raises:
            AudioError: the file cannot be used.
            StageClosedError: the service stops.
        """
        asked_s = time.perf_counter()
        # A decode thread's place is kept until the queue has room for what it made: decoded audio is large.
        async with self._decoding:
            clip = await self._decode(file, asked_s, times)
            taken = await self._room.take(len(clip.windows))
        extent = clip.extent
        try:
            (embedded,) = await _answers(self._embed, [ClipJob(clip.windows, seed)], times)
        finally:
            self._room.give_back(taken)
        return EmbeddedClip(extent, embedded)

    async def embed_texts(self, texts: list[str], times: StageTimes) -> Embedded:
        """Embed texts, one row each."""
        (embedded,) = await _answers(self._embed, [TextsJob(texts)], times)
        return embedded

    async def render(self, function: Callable[[], T]) -> T:
        """Run what turns answers into bytes, or bytes into a request, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._render_threads, function)

    def close(self) -> None:
        """Stop the stages; what is not answered yet fails with StageClosedError."""
        self._embed.close(_CLOSE_S)
        self._write.close(_CLOSE_S)
        self._decode_threads.shutdown(wait=False, cancel_futures=True)
        self._render_threads.shutdown(wait=False)

    async def _decode(self, file: AudioFile, asked_s: float, times: StageTimes) -> Clip:
        started_s = time.perf_counter()
        decode = partial(decode_clip, file, self._limits)
        clip = await asyncio.get_running_loop().run_in_executor(self._decode_threads, decode)
        times.add("decode", started_s - asked_s, time.perf_counter() - started_s)
        return clip


In = TypeVar("In")
Out = TypeVar("Out")


async def _answers(stage: Stage[In, Out], items: Sequence[In], times: StageTimes) -> list[Out]:
    """Send items through a stage together. Being cancelled cancels those that still wait."""
    futures = [asyncio.wrap_future(future) for future in stage.submit_all(items)]
    answers: list[Answer[Out]] = await asyncio.gather(*futures)
    times.add_answers(stage.name, answers)
    return [answer.value for answer in answers]
