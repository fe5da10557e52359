"""Engine: a file's way through decode threads, the embed stage and the write stage, and the device that both share.

Both stages run on threads of their own; where the device does one thing at a time, they take turns. The event loop only
awaits their futures. Requests share decode threads, memory and device fairly: a request decodes one window at a time, and
the stages serve requests by the cost they have had.

Decoding has threads and not processes, by measurement (benchmarks/decoding.py): libsndfile, soxr and numpy leave the
interpreter's lock alone, so that two threads on two cores were 1.7 to 1.9 times one; two processes, which have to pickle the
samples, were no faster at anything and less than half as fast on short clips.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, cast

import numpy as np

from app.captioning import (
    TEXTS_A_JOB,
    AudioFile,
    CaptionedClip,
    ClipInWork,
    Embedded,
    EmbeddedClip,
    EmbedJob,
    Extent,
    TextsJob,
    WindowJob,
    WriteJob,
    embed_jobs,
    write_jobs,
)
from app.decoding import ClipDecoder
from app.pending import Answer
from app.schemas import MAX_CANDIDATES, MAX_NEW_TOKENS, CaptionOptions
from app.settings import ServiceSettings
from app.stage import Stage
from app.stage_observer import StageObserver
from app.ticket import Ticket
from app.times import StageTimes
from app.turns import Turns
from models.audio import WINDOW_S
from models.errors import DeviceMemoryError
from models.pipeline import Pipeline, ScoredCaption

T = TypeVar("T")

_CLOSE_S = 1.0
"""Seconds that a batch which is running when the stages close has left."""


class Engine:
    """One pipeline at work. Make and use it on one event loop."""

    def __init__(self, pipeline: Pipeline, settings: ServiceSettings, observer: StageObserver | None = None) -> None:
        """Prepare stages and threads; nothing runs before `start`.

        The stages' queues hold all that the service admits, so that an admitted request is never refused half way.
        """
        self.pipeline = pipeline
        device = None if pipeline.concurrent else Turns()
        clip_windows = math.ceil(settings.max_duration_s / WINDOW_S)
        text_jobs = math.ceil(settings.max_texts / TEXTS_A_JOB)
        embed_max_batch_cost = settings.embed_max_batch_cost or pipeline.budgets.windows
        self._embed = Stage[EmbedJob, Embedded | None](
            "embed",
            partial(embed_jobs, pipeline),
            cost_of=lambda _: 1,
            key_of=type,
            queue_capacity=settings.queue_capacity * max(clip_windows, text_jobs),
            max_batch_cost=embed_max_batch_cost,
            max_wait_s=settings.max_wait_ms / 1_000,
            memory_error=DeviceMemoryError,
            device=device,
            observer=observer,
        )
        self._write = Stage[WriteJob, list[ScoredCaption]](
            "write",
            partial(write_jobs, pipeline),
            cost_of=lambda job: job.cost,
            key_of=lambda job: job.key,
            queue_capacity=settings.queue_capacity * (1 + clip_windows) * MAX_CANDIDATES * MAX_NEW_TOKENS,
            max_batch_cost=settings.write_max_batch_cost or pipeline.budgets.tokens,
            max_wait_s=settings.max_wait_ms / 1_000,
            memory_error=DeviceMemoryError,
            device=device,
            observer=observer,
        )
        self._decoder = ClipDecoder(settings, embed_max_batch_cost)
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
    def batch_age_s(self) -> float:
        """Seconds that the older of the batches on the device has been there."""
        return max(self._embed.batch_age_s, self._write.batch_age_s)

    @property
    def stages(self) -> tuple[Stage[EmbedJob, Embedded | None], Stage[WriteJob, list[ScoredCaption]]]:
        """Both stages, for those who watch their queues."""
        return self._embed, self._write

    async def caption(self, file: AudioFile, options: CaptionOptions, ticket: Ticket, times: StageTimes) -> CaptionedClip:
        """Caption one file, and each of its windows where the options say so.

        Raises:
            AudioError: the file cannot be used.
            ItemExpiredError: the deadline passed.
            DeviceMemoryError: the device has no memory for it.
            StageClosedError: the service stops.
        """
        clip = await self.embed(file, options.seed, ticket, times)
        rows = clip.embedded.bridged if options.bridge else clip.embedded.raw
        jobs = [
            WriteJob(row, options.seed, options.candidates, options.max_new_tokens)
            for row in (rows if options.timeline else rows[:1])
        ]
        answers = await _answers(self._write, jobs, ticket)
        times.add_answer("write", answers)
        first, *windows = [answer.value for answer in answers]
        return CaptionedClip(clip.extent, first, windows if options.timeline else None)

    async def embed(self, file: AudioFile, seed: int, ticket: Ticket, times: StageTimes) -> EmbeddedClip:
        """Embed one file and its windows, with the bridge and without; raises what `caption` raises."""
        clip, futures = ClipInWork(seed), list[asyncio.Future[Answer[Embedded | None]]]()
        try:
            async for window in self._decoder.windows(file, ticket, times):
                job = WindowJob(window.samples, clip, window.index, window.last)
                future = asyncio.wrap_future(self._embed.submit(job, flow=ticket, expires_s=ticket.expires_s))
                future.add_done_callback(window.release)
                futures.append(future)
            answers = await asyncio.gather(*futures)
        finally:
            _abandon(futures)
        last = answers[-1]
        # The last window of a clip brings the clip, unless another window failed, and then we are not here.
        embedded = cast(Embedded, last.value)
        times.add_queue("embed", last.queue_s)
        times.add_run("embed", last.run_s - embedded.bridge_s)
        times.add_run("bridge", embedded.bridge_s)
        return EmbeddedClip(Extent.of(window.duration_s, len(futures)), embedded)

    async def embed_texts(self, texts: list[str], ticket: Ticket, times: StageTimes) -> Embedded:
        """Embed texts, one row each; raises what `caption` raises."""
        jobs = [TextsJob(texts[start : start + TEXTS_A_JOB]) for start in range(0, len(texts), TEXTS_A_JOB)]
        answers = await _answers(self._embed, jobs, ticket)
        times.add_answer("embed", answers)
        rows = np.concatenate([answer.value.raw for answer in answers if answer.value is not None])
        return Embedded(rows, rows)

    async def render(self, function: Callable[[], T]) -> T:
        """Run what turns answers into bytes, or bytes into a request, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._render_threads, function)

    def close(self) -> None:
        """Stop the stages; what is not answered yet fails with StageClosedError."""
        self._embed.close(_CLOSE_S)
        self._write.close(_CLOSE_S)
        self._decoder.close()
        self._render_threads.shutdown(wait=False)


In = TypeVar("In")
Out = TypeVar("Out")


async def _answers(stage: Stage[In, Out], items: Sequence[In], ticket: Ticket) -> list[Answer[Out]]:
    """Send items through a stage together. Being cancelled cancels those that still wait."""
    submitted = stage.submit_all(items, flow=ticket, expires_s=ticket.expires_s)
    futures = [asyncio.wrap_future(future) for future in submitted]
    try:
        return await asyncio.gather(*futures)
    finally:
        _abandon(futures)


def _abandon(futures: Sequence[asyncio.Future[Answer[Out]]]) -> None:
    """Cancel what still waits, and look at every error, or asyncio reports those beyond the first as never retrieved."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()
