"""GET /metrics: for Prometheus."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.error_responses import responses_for
from app.metrics import CONTENT_TYPE
from app.schemas import NoOptions
from app.service import service_of

router = APIRouter()

_EXAMPLE = 'diffusion_link_requests_total{error_type="",route="/caption",status="200"} 3.0\n'
_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Counters, gauges and histograms; their names begin with diffusion_link_ and process_.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


@router.get(
    "/metrics",
    tags=["service"],
    summary="Give metrics to Prometheus",
    response_class=Response,
    responses=_TEXT | responses_for("metrics"),
)
async def read_metrics(request: Request, _: Annotated[NoOptions, Query()]) -> Response:
    """Give counters and histograms in Prometheus' text format."""
    return Response(service_of(request).metrics.exposition(), headers={"content-type": CONTENT_TYPE})
