"""What OpenAPI says of the headers of answers; `app.logs` and `app.errors` send them."""

from typing import Any

from app.times import STAGES

_MEANINGS = {
    "receive": "receiving the body",
    "decode": "decoding and resampling the sound, and cutting it into windows",
    "embed": "embedding, without the bridge",
    "bridge": "carrying the embeddings into text space",
    "write": "writing and scoring captions",
    "answer": "putting the answer together",
}


def _header(description: str, required: bool, **schema: object) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": schema}


def _milliseconds(meaning: str, required: bool) -> dict[str, Any]:
    return _header(f"Milliseconds of {meaning}.", required, type="number", minimum=0)


def stage_times(required: bool) -> dict[str, Any]:
    """The headers of an answer whose request went through the stages; in errors they come if it got that far."""
    names = {f"x-{stage}-ms": _milliseconds(_MEANINGS[stage], required) for stage in STAGES}
    return {"x-queue-ms": _milliseconds("waiting for a stage, all stages together", required)} | names


EVERY_ANSWER = {
    "x-request-id": _header("The id of the request, which the service's log has too.", True, type="string"),
    "x-total-ms": _milliseconds("the whole request, from its headers to its answer", True),
}
RETRY_AFTER = {"retry-after": _header("Seconds to wait before the request is sent again.", True, type="integer", minimum=1)}
CHALLENGE = {"www-authenticate": _header("How a key is to be sent.", True, type="string", const="Bearer")}
ALLOW = {"allow": _header("The methods of the path.", True, type="string")}


def timed_answer(description: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI response of an operation that does work: it says where its time went."""
    return {200: {"description": description, "headers": stage_times(required=True)}}
