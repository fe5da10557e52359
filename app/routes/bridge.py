"""POST /bridge: embeddings of sounds in text space."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.answers import answer_files
from app.bodies import embedded_file
from app.captioning import AudioFile, EmbeddedClip
from app.engine import Engine
from app.error_responses import responses_for
from app.response_headers import timed_answer
from app.routes.audio_body import audio_body
from app.routes.deadline import client_deadline
from app.schemas import BridgeOptions, BridgeResponse, EmbeddedFile, FailedFile
from app.ticket import Ticket
from app.times import StageTimes

router = APIRouter(dependencies=[Depends(client_deadline)])


@router.post(
    "/bridge",
    tags=["embeddings"],
    summary="Embed sounds",
    response_model=BridgeResponse,
    responses=timed_answer("A result for each file, in their order.") | responses_for("audio"),
    openapi_extra=audio_body("/bridge"),
)
async def embed_sounds(request: Request, options: Annotated[BridgeOptions, Query()]) -> Response:
    """Embed each file in the space of texts, for search with the vectors of POST /text.

    Embeddings have unit length, so that their scalar product is their cosine.
    """

    async def work(engine: Engine, file: AudioFile, ticket: Ticket, times: StageTimes) -> EmbeddedClip:
        return await engine.embed(file, options.seed, ticket, times)

    return await answer_files(request, work, partial(embedded_file, options=options), _body)


def _body(engine: Engine, results: list[EmbeddedFile | FailedFile]) -> BridgeResponse:
    return BridgeResponse(model=engine.pipeline.manifest.name, dim=engine.pipeline.dim, results=results)
