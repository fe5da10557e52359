"""create_app: the service as an ASGI app; its lifespan loads, warms up, serves and drains."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from app.errors import TABLE, AllFilesFailedError, handle_error
from app.middleware import TraceMiddleware
from app.routes import bridge, caption, health, metrics, models, text
from app.service import Load, Service
from app.settings import ServiceSettings
from models.pipeline import Pipeline


def create_app(settings: ServiceSettings | None = None, load: Load = Pipeline.load) -> FastAPI:
    """Make the app; without settings, those of the environment. Nothing is loaded before its lifespan starts."""
    service = Service(settings or ServiceSettings(), load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.drain()

    app = FastAPI(
        title="Diffusion-Link",
        summary="Captions for sounds, and embeddings to search them by.",
        version=version("diffusion-link"),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(TraceMiddleware, metrics=service.metrics)
    for error in {row.error for row in TABLE} - {Exception} | {HTTPException, AllFilesFailedError}:
        app.add_exception_handler(error, handle_error)
    for module in (caption, bridge, text, models, health, metrics):
        app.include_router(module.router)
    return app
