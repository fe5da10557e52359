"""Service: what one process is while it runs: settings, metrics, engine, how many files are in it, and whether it stops.

The lifespan of the app starts and drains it; handlers ask it for the engine, a place and a deadline.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from fastapi import Request

from app.engine import Engine
from app.errors import NotReadyError, RequestTimeoutError, UnhealthyError
from app.loading import Load, load_pipeline
from app.logs import Trace
from app.metrics import Metrics
from app.pace import Pace
from app.settings import ServiceSettings
from app.stage import ItemExpiredError, QueueFullError, StageClosedError
from app.ticket import Ticket

_log = logging.getLogger(__name__)


class Admission:
    """The places that one request holds, and its ticket for the engine."""

    def __init__(self, service: "Service", expires_s: float) -> None:
        """Hold no place yet."""
        self.ticket = Ticket(expires_s)
        self._service = service
        self._held = 0

    def take(self, count: int) -> None:
        """Take places, all or none.

        Raises:
            QueueFullError: there are not as many.
        """
        service = self._service
        capacity, in_flight = service.settings.queue_capacity, service.in_flight
        if in_flight + count > capacity:
            raise QueueFullError(
                f"{in_flight} of {capacity} places are taken; this request needs {count} more",
                service.pace.retry_after_s(in_flight),
            )
        self._held += count
        service.change_in_flight(count)

    def give_back(self) -> None:
        """Give all places back."""
        self._service.change_in_flight(-self._held)
        self._held = 0


class Service:
    """The state of one process; used on the event loop only."""

    def __init__(self, settings: ServiceSettings, load: Load) -> None:
        """Prepare; nothing is loaded before `start`."""
        self.settings = settings
        self.metrics = Metrics()
        self.engine: Engine | None = None
        self.in_flight = 0
        self.pace = Pace()
        self._load = load
        self._empty = asyncio.Event()
        self._empty.set()
        self._drained: asyncio.Task[None] | None = None
        self._deadlines = set[asyncio.Timeout]()
        self._closed = False
        self.metrics.watch_in_flight(lambda: self.in_flight)

    async def start(self) -> None:
        """Load the artifact, warm it up, and start the stages.

        Raises:
            ArtifactError: the artifact cannot be used.
            DeviceError: the device is not there or too small, or cannot do what was asked of it.
        """
        pipeline = await asyncio.to_thread(load_pipeline, self.settings, self._load)
        await asyncio.to_thread(pipeline.warm_up)
        engine = Engine(pipeline, self.settings, self.metrics)
        self.metrics.watch_pipeline(pipeline)
        for stage in engine.stages:
            self.metrics.watch_stage(stage)
        engine.start()
        self.engine = engine
        _log.info("ready: %s %s on %s", pipeline.manifest.name, pipeline.manifest.version, pipeline.device_name)

    def ready_engine(self) -> Engine:
        """The engine, if the service takes requests.

        Raises:
            NotReadyError: it is loading or shutting down.
            UnhealthyError: as `check_alive` says.
        """
        if self._drained is not None:
            raise NotReadyError("the service is shutting down")
        if self.engine is None:
            raise NotReadyError("the service is loading")
        self.check_alive()
        return self.engine

    def check_alive(self) -> None:
        """Do nothing, unless a stage has lost its runner, or has been at one batch for longer than `batch_timeout_s`.

        Raises:
            UnhealthyError: that is so.
        """
        if self.engine is None or self._drained is not None:
            return
        if not self.engine.alive:
            raise UnhealthyError("a worker of the service is gone; restart it")
        if self.engine.batch_age_s > self.settings.batch_timeout_s:
            raise UnhealthyError(f"a batch has taken longer than {self.settings.batch_timeout_s:g} s; restart the service")

    @asynccontextmanager
    async def admitted(self, trace: Trace) -> AsyncIterator[Admission]:
        """Hold a place for a request, and end it at its deadline.

        Raises:
            QueueFullError: no place is free.
            RequestTimeoutError: the deadline is past.
        """
        limit_s = min(self.settings.request_timeout_s, trace.timeout_s)
        admission = Admission(self, trace.started_s + limit_s)
        admission.take(1)
        late = RequestTimeoutError(f"no answer within {limit_s:g} s")
        try:
            async with asyncio.timeout(limit_s - trace.total_s) as deadline:
                self._deadlines.add(deadline)
                yield admission
        except TimeoutError as error:
            if not deadline.expired():
                raise
            if self._closed:
                raise StageClosedError("the service stopped before the answer was ready") from error
            raise late from error
        except ItemExpiredError as error:
            raise late from error
        finally:
            self._deadlines.discard(deadline)
            admission.give_back()

    def change_in_flight(self, change: int) -> None:
        """Count files, and text requests, in and out."""
        self.in_flight += change
        self.pace.change(max(0, -change), self.in_flight)
        if self.in_flight:
            self._empty.clear()
        else:
            self._empty.set()

    async def drain(self) -> None:
        """Refuse new requests, let those that are in finish for `drain_timeout_s`, fail the rest; may be called again."""
        if self._drained is None:
            self._drained = asyncio.create_task(self._drain())
        await asyncio.shield(self._drained)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self.settings.drain_timeout_s):
                await self._empty.wait()
        except TimeoutError:
            _log.warning("%d files had no answer within drain_timeout_s", self.in_flight)
        if self.engine is not None:
            await asyncio.to_thread(self.engine.close)
        # What is not in the engine, an upload for one, ends too; else uvicorn would cancel it without an answer.
        self._closed = True
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    return cast(Service, request.app.state.service)
