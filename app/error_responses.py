"""What OpenAPI says of errors, all of it made of the one table in errors.py."""

from typing import Any

from app.errors import HTTP_ROWS, TABLE, ErrorRow
from app.response_headers import ALLOW, CHALLENGE, RETRY_AFTER, stage_times
from app.schemas import ErrorBody, RequestError

_REQUEST_ID = "6a19ef48821641b68c32f6defac997b4"
_HEADERS = {401: CHALLENGE, 405: ALLOW, 429: RETRY_AFTER, 503: RETRY_AFTER}
"""By status, what is sent besides the headers of every answer."""


def responses_for(path: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI error responses of the operations of one kind (audio, text, info, ready, live, metrics)."""
    rows = [row for row in TABLE if path in row.paths]
    return {
        status: {"model": ErrorBody} | described(*(row for row in rows if row.status == status), timed=path == "audio")
        for status in {row.status for row in rows}
    }


def described(*rows: ErrorRow, timed: bool = False) -> dict[str, Any]:
    """The OpenAPI response of the rows of one status; `timed` if a request may have been through stages by then."""
    status = rows[0].status
    headers = _HEADERS.get(status, {}) | (stage_times(required=False) if timed and status >= 422 else {})
    examples = dict[str, dict[str, Any]]()
    for row in rows:
        error = RequestError(type=row.type, message=row.example, request_id=_REQUEST_ID)
        name = f"{row.type} (body)" if row.type in examples else row.type
        examples[name] = {"summary": row.meaning, "value": ErrorBody(error=error).model_dump()}
    return {
        "description": "\n".join(f"- `{row.type}`: {row.meaning}" for row in rows),
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}, "examples": examples}},
    }


def unlisted_responses() -> dict[str, dict[str, Any]]:
    """The OpenAPI responses that belong to no operation, by their types: no such path, no such method."""
    return {row.type: described(row) for row in HTTP_ROWS.values()}
