"""The service with a fake pipeline, behind an HTTP client without a network."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from app.main import create_app
from app.service import Service
from app.settings import ServiceSettings
from tests.app.fakes import FakePipeline, sound


@dataclass
class Running:
    """A service between its start and its drain."""

    http: httpx.AsyncClient
    service: Service
    pipeline: FakePipeline


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DIFFUSION_LINK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def start(pipeline: FakePipeline) -> Start:
    """Starts a service with given settings."""

    @asynccontextmanager
    async def started(**settings: object) -> AsyncIterator[Running]:
        app = create_app(ServiceSettings(**settings), load=pipeline.load)
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            try:
                yield Running(http, app.state.service, pipeline)
            finally:
                pipeline.gate.set()

    return started


@pytest.fixture
async def running(start: Start) -> AsyncIterator[Running]:
    async with start() as running:
        yield running


@pytest.fixture(scope="session")
def wav() -> bytes:
    return sound(1.0)


@pytest.fixture(scope="session")
def long_wav() -> bytes:
    """Four windows, the last one of 5 s."""
    return sound(35.0, 8_000)
