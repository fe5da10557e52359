"""POST /caption: captions for sounds."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.answers import answer_files
from app.bodies import captioned_file
from app.captioning import AudioFile, CaptionedClip
from app.engine import Engine
from app.error_responses import responses_for
from app.response_headers import timed_answer
from app.routes.audio_body import audio_body
from app.routes.deadline import client_deadline
from app.schemas import CaptionedFile, CaptionOptions, CaptionResponse, FailedFile
from app.ticket import Ticket
from app.times import StageTimes

router = APIRouter(dependencies=[Depends(client_deadline)])


@router.post(
    "/caption",
    tags=["captions"],
    summary="Caption sounds",
    response_model=CaptionResponse,
    responses=timed_answer("A result for each file, in their order.") | responses_for("audio"),
    openapi_extra=audio_body("/caption"),
)
async def caption_sounds(request: Request, options: Annotated[CaptionOptions, Query()]) -> Response:
    """Write a caption for each file, with the cosine that says how well it fits.

    The query asks for more candidates, or for a caption of each window of 10 s too.
    """

    async def work(engine: Engine, file: AudioFile, ticket: Ticket, times: StageTimes) -> CaptionedClip:
        return await engine.caption(file, options, ticket, times)

    return await answer_files(request, work, partial(captioned_file, options=options), _body)


def _body(engine: Engine, results: list[CaptionedFile | FailedFile]) -> CaptionResponse:
    return CaptionResponse(model=engine.pipeline.manifest.name, results=results)
