"""POST /caption: captions for sounds."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.answers import answer_files
from app.bodies import captioned_file
from app.captioning import AudioFile, CaptionedClip
from app.engine import Engine
from app.errors import responses_for
from app.routes.audio_body import AUDIO_BODY
from app.routes.deadline import client_deadline
from app.schemas import CaptionedFile, CaptionOptions, CaptionResponse, FailedFile
from app.ticket import Ticket
from app.times import StageTimes

router = APIRouter(dependencies=[Depends(client_deadline)])


@router.post("/caption", response_model=CaptionResponse, responses=responses_for("audio"), openapi_extra=AUDIO_BODY)
async def caption(request: Request, options: Annotated[CaptionOptions, Query()]) -> Response:
    """Write a caption for each file."""

    async def work(engine: Engine, file: AudioFile, ticket: Ticket, times: StageTimes) -> CaptionedClip:
        return await engine.caption(file, options, ticket, times)

    return await answer_files(request, work, partial(captioned_file, options=options), _body)


def _body(engine: Engine, results: list[CaptionedFile | FailedFile]) -> CaptionResponse:
    return CaptionResponse(model=engine.pipeline.manifest.name, results=results)
