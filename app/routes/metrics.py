"""GET /metrics: for Prometheus."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.errors import responses_for
from app.metrics import CONTENT_TYPE
from app.schemas import NoOptions
from app.service import service_of

router = APIRouter()

_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/metrics", response_class=Response, responses=_TEXT | responses_for("metrics"))
async def metrics(request: Request, _: Annotated[NoOptions, Query()]) -> Response:
    """Give counters and histograms in Prometheus' text format."""
    return Response(service_of(request).metrics.exposition(), headers={"content-type": CONTENT_TYPE})
