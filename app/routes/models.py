"""GET /models: what is served."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.bodies import model_info
from app.error_responses import responses_for
from app.schemas import ModelsResponse, NoOptions
from app.service import service_of

router = APIRouter()


@router.get(
    "/models",
    tags=["service"],
    summary="Say what is served",
    response_description="The one artifact that is served.",
    responses=responses_for("info"),
)
async def list_models(request: Request, _: Annotated[NoOptions, Query()]) -> ModelsResponse:
    """Name the artifact, its checksums, and the networks in it."""
    return ModelsResponse(models=[model_info(service_of(request).ready_engine().pipeline)])
