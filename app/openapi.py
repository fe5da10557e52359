"""What /openapi.json says of the service as a whole and of every operation alike; it is made when it is first asked for."""

from operator import attrgetter
from typing import Any

from fastapi import FastAPI

from app.error_responses import unlisted_responses
from app.examples import EXAMPLES, openapi_examples
from app.response_headers import EVERY_ANSWER

DESCRIPTION = """
Sounds go in as WAV, FLAC, OGG or MP3, of any sample rate from 4 to 192 kHz and up to 8 channels, from 0.05 s to ten minutes;
captions and embeddings come out. Longer sounds than 10 s are worked on in windows of 10 s.

The same bytes and the same query give the same answer; on a GPU that computes in bf16 or fp16, within rounding.

**Errors** are `{"error": {"type", "message", "request_id"}}`; `type` is for programs; each response lists its own.
If only some files of a request cannot be used, the answer is 200, and those files have an `error` in their own results.
What is answered with 429 or 503 can be sent again after `Retry-After` seconds. A path that is not listed here is 404
(`not_found`), another method 405 (`method_not_allowed`); `HEAD` of `/health/*` is answered as `GET` is, without a body.

Limits in numbers are those of the service's default settings.
""".strip()
TAGS = [
    {"name": "captions", "description": "What is heard in a sound, in words."},
    {"name": "embeddings", "description": "Sounds and texts in one space, to search the ones by the others."},
    {"name": "service", "description": "What is served, how it is, and what it counts."},
]
operation_id = attrgetter("name")
"""The id of an operation is the name of its handler; code is generated from it, so it stays as it is."""
_REQUEST_ID = {
    "name": "x-request-id",
    "in": "header",
    "required": False,
    "description": "An id for this request, which the answer and the service's log then have: 1 to 128 letters, digits and "
    "`._-`. Anything else is replaced by an id of the service's own.",
    "schema": {"type": "string", "title": "X-Request-Id"},
}


def complete(app: FastAPI) -> None:
    """Add to the app's OpenAPI what holds for every operation."""
    plain, completed = app.openapi, dict[str, Any]()

    def openapi() -> dict[str, Any]:
        if not completed:
            completed.update(_completed(plain()))
        return completed

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    document["components"]["responses"] = unlisted_responses()
    # Not by the routes: FastAPI would leave out each null of an example.
    for path in EXAMPLES:
        (operation,) = document["paths"][path].values()
        operation["responses"]["200"]["content"]["application/json"]["examples"] = openapi_examples(path)
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    for operation in operations:
        operation.setdefault("parameters", []).append(_REQUEST_ID)
    responses = [response for operation in operations for response in operation["responses"].values()]
    for response in [*responses, *document["components"]["responses"].values()]:
        response["headers"] = EVERY_ANSWER | response.get("headers", {})
    return document
