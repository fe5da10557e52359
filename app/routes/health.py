"""GET /health/live and /health/ready: memory reads only, so that they answer however busy the service is."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.errors import responses_for
from app.schemas import HealthResponse, NoOptions
from app.service import service_of

router = APIRouter()


@router.get("/health/live", responses=responses_for("health"))
async def live(request: Request, _: Annotated[NoOptions, Query()]) -> HealthResponse:
    """Say whether the process is of any use; restart it if not."""
    service_of(request).check_alive()
    return HealthResponse()


@router.get("/health/ready", responses=responses_for("health"))
async def ready(request: Request, _: Annotated[NoOptions, Query()]) -> HealthResponse:
    """Say whether requests are taken: not while loading or shutting down."""
    service_of(request).ready_engine()
    return HealthResponse()
