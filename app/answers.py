"""How the audio paths answer: admit, receive, work on every file, and put results and errors together.

A file that cannot be used is an error in its own result; only if none could be used is it the request's error.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.bodies import render
from app.captioning import AudioFile, CaptionedClip, EmbeddedClip
from app.engine import Engine
from app.errors import AllFilesFailedError, detail_of, row_of
from app.logs import trace_of
from app.schemas import FailedFile
from app.service import service_of
from app.stage import ItemExpiredError, QueueFullError, StageClosedError
from app.ticket import Ticket
from app.times import StageTimes
from app.uploads import receive_files

T = TypeVar("T")
ClipT = TypeVar("ClipT", CaptionedClip, EmbeddedClip)
ResultT = TypeVar("ResultT")
Work = Callable[[Engine, AudioFile, Ticket, StageTimes], Awaitable[ClipT]]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Attempt(Generic[ClipT]):
    """What became of one file: a clip or an error."""

    filename: str | None
    times: StageTimes = field(default_factory=StageTimes)
    clip: ClipT | None = None
    error: Exception | None = None

    def result(self, result_of: Callable[[str | None, ClipT], ResultT]) -> ResultT | FailedFile:
        if self.clip is not None:
            return result_of(self.filename, self.clip)
        return FailedFile(filename=self.filename, error=detail_of(self.error or RuntimeError("no outcome")))


async def answer_files(
    request: Request,
    work: Work[ClipT],
    result_of: Callable[[str | None, ClipT], ResultT],
    body_of: Callable[[Engine, list[ResultT | FailedFile]], BaseModel],
) -> Response:
    """Answer a request that holds audio files.

    Raises:
        ServiceError: the request is refused as a whole, or no file of it could be used.
        QueueFullError: no place is free.
        ItemExpiredError: the deadline passed.
        StageClosedError: the service stopped before the answer was ready.
    """
    service, trace = service_of(request), trace_of(request.scope)
    engine = service.ready_engine()
    async with service.admitted(trace) as admission:
        async with receive_files(request, service.settings) as files:
            admission.take(len(files) - 1)
            received_s = trace.total_s
            attempts = await until_gone(request, _attempt_all(engine, files, work, admission.ticket))
        times = trace.times = max((attempt.times for attempt in attempts), key=lambda times: times.total_s)
        times.add_run("receive", received_s)
        _raise_if_all_failed(attempts)
        service.metrics.add_answers([attempt.clip for attempt in attempts if attempt.clip is not None])
        worked_s = trace.total_s
        body = await engine.render(lambda: render(body_of(engine, [attempt.result(result_of) for attempt in attempts])))
        times.add_run("answer", trace.total_s - worked_s)
    return Response(body, media_type="application/json")


async def until_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, whose request has been received to its end, unless the client hangs up first.

    Raises:
        ClientDisconnect: nobody waits for the answer any more.
    """
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return await working
    finally:
        working.cancel()
        gone.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _attempt_all(engine: Engine, files: list[AudioFile], work: Work[ClipT], ticket: Ticket) -> list[_Attempt[ClipT]]:
    return await asyncio.gather(*(_attempt(engine, file, work, ticket) for file in files))


async def _attempt(engine: Engine, file: AudioFile, work: Work[ClipT], ticket: Ticket) -> _Attempt[ClipT]:
    attempt = _Attempt[ClipT](file.name)
    try:
        attempt.clip = await work(engine, file, ticket, attempt.times)
    except Exception as error:
        attempt.error = error
        if row_of(error).error is Exception:
            _log.exception("a file failed for no fault of its own")
    return attempt


def _raise_if_all_failed(attempts: list[_Attempt[ClipT]]) -> None:
    errors = [(attempt.filename, attempt.error) for attempt in attempts if attempt.error is not None]
    for _, error in errors:
        if isinstance(error, QueueFullError | ItemExpiredError | StageClosedError):
            raise error
    if len(errors) == len(attempts):
        raise AllFilesFailedError(errors)
