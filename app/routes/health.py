"""GET and HEAD of /health/live and /health/ready: memory reads only, so that they answer however busy the service is."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.error_responses import responses_for
from app.schemas import HealthResponse, NoOptions
from app.service import service_of

router = APIRouter()


@router.get(
    "/health/live", tags=["service"], summary="Is it alive?", response_description="It is.", responses=responses_for("live")
)
@router.head("/health/live", include_in_schema=False)
async def check_live(request: Request, _: Annotated[NoOptions, Query()]) -> HealthResponse:
    """Say whether the process is of any use; restart it if not. True while it loads and shuts down. Needs no API key."""
    service_of(request).check_alive()
    return HealthResponse()


@router.get(
    "/health/ready",
    tags=["service"],
    summary="Is it ready?",
    response_description="It is.",
    responses=responses_for("ready"),
)
@router.head("/health/ready", include_in_schema=False)
async def check_ready(request: Request, _: Annotated[NoOptions, Query()]) -> HealthResponse:
    """Say whether requests are taken: not while loading or shutting down. Needs no API key."""
    service_of(request).ready_engine()
    return HealthResponse()
