"""create_app: the service as an ASGI app; its lifespan loads, warms up, serves and drains."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from app.errors import TABLE, AllFilesFailedError, handle_error
from app.keys import ApiKeys, guard
from app.lingering import LingeringMiddleware
from app.loading import Load
from app.middleware import TraceMiddleware
from app.openapi import DESCRIPTION, TAGS, complete, operation_id
from app.routes import bridge, caption, health, metrics, models, openapi, page, text
from app.service import Service
from app.settings import ServiceSettings
from models.pipeline import Pipeline


def create_app(settings: ServiceSettings | None = None, load: Load = Pipeline.load) -> FastAPI:
    """Make the app; without settings, those of the environment. No model is loaded before its lifespan starts.

    Raises:
        KeysError: the file of API keys cannot be used.
    """
    settings = settings or ServiceSettings()
    keys = ApiKeys.load(settings.api_keys_file) if settings.api_keys_file else None
    service = Service(settings, load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.drain()

    app = FastAPI(
        title="Diffusion-Link",
        summary="Captions for sounds, and embeddings to search them by.",
        description=DESCRIPTION,
        version=version("diffusion-link"),
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        openapi_url=None,  # app.routes.openapi has it, as a route of a name that metrics can count
        docs_url=None,  # app.routes.page has /docs, without a CDN
        redoc_url=None,
    )
    app.state.service = service
    # The middleware that is added last is the outermost: a refusal for want of a key is traced and counted too.
    if keys is not None:
        guard(app, keys)
    complete(app)
    app.add_middleware(TraceMiddleware, metrics=service.metrics)
    app.add_middleware(LingeringMiddleware)
    for error in {row.error for row in TABLE} - {Exception} | {HTTPException, AllFilesFailedError}:
        app.add_exception_handler(error, handle_error)
    for module in (caption, bridge, text, models, health, metrics, openapi, page):
        app.include_router(module.router)
    app.add_api_route("/", page.page, methods=["HEAD"], include_in_schema=False)  # as load balancers ask
    return app
