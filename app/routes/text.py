"""POST /text: embeddings of texts, in the space that POST /bridge puts sounds in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from app.answers import until_gone
from app.bodies import embedded_texts, render
from app.error_responses import responses_for
from app.errors import InvalidBodyError, TooManyTextsError, UnsupportedMediaTypeError
from app.examples import TEXTS
from app.logs import trace_of
from app.response_headers import timed_answer
from app.routes.deadline import client_deadline
from app.schemas import TextOptions, TextRequest, TextResponse
from app.service import service_of
from app.settings import ServiceSettings
from app.times import StageTimes
from app.uploads import media_type, read_bounded
from models.errors import TextError, validation_faults

router = APIRouter(dependencies=[Depends(client_deadline)])

_SHOWN_FAULTS = 3
_JSON_BODY = {
    "requestBody": {
        "required": True,
        "description": "Up to 256 texts of 1,000 characters.",
        "content": {
            "application/json": {
                "schema": TextRequest.model_json_schema(),
                "examples": {"texts": {"summary": "Two texts", "value": TEXTS}},
            }
        },
    }
}


@router.post(
    "/text",
    tags=["embeddings"],
    summary="Embed texts",
    response_model=TextResponse,
    responses=timed_answer("A result for each text, in their order.") | responses_for("text"),
    openapi_extra=_JSON_BODY,
)
async def embed_texts(request: Request, options: Annotated[TextOptions, Query()]) -> Response:
    """Embed texts in the space that POST /bridge puts sounds in."""
    service, trace, times = service_of(request), trace_of(request.scope), StageTimes()
    engine = service.ready_engine()
    if (kind := media_type(request)) != "application/json":
        raise UnsupportedMediaTypeError(
            f"{kind or 'a body without a content type'} is not taken here; send application/json"
        )
    async with service.admitted(trace) as admission:
        body = await read_bounded(request, service.settings.max_text_body_bytes)
        texts = await engine.render(lambda: _read_texts(body, service.settings))
        times.add_run("receive", trace.total_s)
        rows = (await until_gone(request, engine.embed_texts(texts, admission.ticket, times))).raw
        worked_s = trace.total_s
        model, dim = engine.pipeline.manifest.name, engine.pipeline.dim
        answer = await engine.render(
            lambda: render(TextResponse(model=model, dim=dim, results=embedded_texts(texts, rows, options.encoding)))
        )
        times.add_run("answer", trace.total_s - worked_s)
        trace.times = times
    return Response(answer, media_type="application/json")


def _read_texts(body: bytes, settings: ServiceSettings) -> list[str]:
    try:
        texts = TextRequest.model_validate_json(body).texts
    except ValidationError as error:
        raise InvalidBodyError("; ".join(validation_faults(error, "body")[:_SHOWN_FAULTS])) from error
    if len(texts) > settings.max_texts:
        raise TooManyTextsError(f"{len(texts)} texts; a request may hold {settings.max_texts}")
    for index, item in enumerate(texts):
        if not item.strip():
            raise TextError(f"texts.{index}: the text is blank")
        if len(item) > settings.max_text_chars:
            raise TextError(f"texts.{index}: {len(item)} characters; a text may have {settings.max_text_chars}")
    return texts
