"""Errors of the service, and the one table from an error to its HTTP status; the OpenAPI responses come from it too.

ServiceError                       the service refuses a whole request; never the fault of one file in it
├── MalformedMultipartError, FieldError, MissingFileError, TooManyFilesError
├── InvalidBodyError, TooManyTextsError
├── UnsupportedMediaTypeError, PayloadTooLargeError
├── UnauthorizedError
├── NotReadyError, UnhealthyError
├── RequestTimeoutError
└── AllFilesFailedError         answered as the first file's error
Errors of single files and texts are `models.errors.InputError`; a full queue is `app.stage.QueueFullError`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.logs import Trace, trace_of
from app.schemas import ErrorBody, ErrorDetail, RequestError
from app.stage import QueueFullError, StageClosedError
from models import errors as domain

_RETRY_AFTER_S = 1
"""Where nothing is measured that would tell."""


class ServiceError(domain.DiffusionLinkError):
    """A request that the service refuses as a whole."""


class MalformedMultipartError(ServiceError):
    """The multipart body cannot be read."""


class FieldError(ServiceError):
    """A part of the form is not called `file`, or is not a file."""


class MissingFileError(ServiceError):
    """The form holds no file."""


class TooManyFilesError(ServiceError):
    """More files than one request may hold."""


class InvalidBodyError(ServiceError):
    """The JSON body is not what the path takes."""


class TooManyTextsError(ServiceError):
    """More texts than one request may hold."""


class UnauthorizedError(ServiceError):
    """The request brings no API key that the service knows."""


class UnsupportedMediaTypeError(ServiceError):
    """The content type is none that the path takes."""


class PayloadTooLargeError(ServiceError):
    """The body is larger than the limit."""


class NotReadyError(ServiceError):
    """The service is loading or shutting down."""


class UnhealthyError(ServiceError):
    """The service cannot answer any more and should be restarted."""


class RequestTimeoutError(ServiceError):
    """The request took longer than `request_timeout_s`, or than its client waits."""


class AllFilesFailedError(ServiceError):
    """No file of the request could be used; holds each file's name, if it has one, and its error."""

    def __init__(self, failures: Sequence[tuple[str | None, Exception]]) -> None:
        """Keep the failures in the order of the files; there is at least one."""
        super().__init__("no file could be used")
        self.failures = failures


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the table; `paths` says which kinds of OpenAPI operations list it."""

    error: type[Exception]
    status: int
    type: str
    meaning: str
    paths: tuple[str, ...]


_AUDIO, _TEXT, _WORK = ("audio",), ("text",), ("audio", "text")
_STATE = ("audio", "text", "info", "health")
_ANY = (*_STATE, "metrics")

TABLE = (
    ErrorRow(MalformedMultipartError, 400, "malformed_multipart", "The multipart body cannot be read.", _AUDIO),
    ErrorRow(UnauthorizedError, 401, "unauthorized", "The request brings no valid API key.", ()),
    ErrorRow(PayloadTooLargeError, 413, "payload_too_large", "The body is larger than max_upload_bytes.", _WORK),
    ErrorRow(UnsupportedMediaTypeError, 415, "unsupported_media_type", "The content type is not taken here.", _WORK),
    ErrorRow(RequestValidationError, 422, "invalid_request", "A query parameter is unknown or out of range.", _ANY),
    ErrorRow(InvalidBodyError, 422, "invalid_request", "The JSON body is not what the path takes.", _TEXT),
    ErrorRow(FieldError, 422, "invalid_field", "A form part is not called file, or is not a file.", _AUDIO),
    ErrorRow(MissingFileError, 422, "missing_file", "The form holds no file.", _AUDIO),
    ErrorRow(TooManyFilesError, 422, "too_many_files", "More files than max_files.", _AUDIO),
    ErrorRow(TooManyTextsError, 422, "too_many_texts", "More texts than max_texts.", _TEXT),
    *(
        ErrorRow(error, 422, error.type, str(error.__doc__), _AUDIO)
        for error in (
            domain.EmptyAudioError,
            domain.UnreadableAudioError,
            domain.DamagedAudioError,
            domain.UnsupportedAudioError,
            domain.AudioTooShortError,
            domain.AudioTooLongError,
            domain.AudioError,
        )
    ),
    ErrorRow(domain.TextError, 422, domain.TextError.type, "A text is blank or longer than max_text_chars.", _TEXT),
    ErrorRow(domain.InputError, 422, domain.InputError.type, str(domain.InputError.__doc__), _WORK),
    ErrorRow(QueueFullError, 429, "queue_full", "No free place; try again after Retry-After seconds.", _WORK),
    ErrorRow(Exception, 500, "internal_error", "A fault of the service; its log has the request id.", _ANY),
    ErrorRow(NotReadyError, 503, "not_ready", "The service is loading or shutting down.", _STATE),
    ErrorRow(UnhealthyError, 503, "unhealthy", "The service needs a restart.", _STATE),
    ErrorRow(StageClosedError, 503, "shutting_down", "The service stopped before the answer was ready.", _WORK),
    ErrorRow(domain.DeviceMemoryError, 503, "out_of_memory", "The device has no memory for this item now.", _WORK),
    ErrorRow(RequestTimeoutError, 504, "timeout", "No answer within request_timeout_s, or x-timeout-ms.", _WORK),
)
_ROWS = {row.error: row for row in TABLE}
_HTTP_TYPES = {404: "not_found", 405: "method_not_allowed"}


def row_of(error: Exception) -> ErrorRow:
    """The row of the nearest listed class of an error."""
    if isinstance(error, AllFilesFailedError):
        return row_of(error.failures[0][1])
    return next(_ROWS[parent] for parent in type(error).__mro__ if parent in _ROWS)


def detail_of(error: Exception) -> ErrorDetail:
    """What a user may know of an error.

    The text of an error that the table does not list could hold anything, so it stays in the log.
    """
    row = row_of(error)
    if isinstance(error, AllFilesFailedError):
        details = [(name, detail_of(failure).message) for name, failure in error.failures]
        message = "; ".join(f"{name}: {text}" if name else text for name, text in details)
    elif isinstance(error, RequestValidationError):
        message = _validation_message(error)
    else:
        message = row.meaning if row.error is Exception else str(error)
    return ErrorDetail(type=row.type, message=message)


def error_response(trace: Trace, error: Exception) -> JSONResponse:
    """The response to a request that failed, noted in its trace."""
    status, headers, detail = row_of(error).status, dict[str, str](), detail_of(error)
    if isinstance(error, HTTPException):
        status, headers = error.status_code, dict(error.headers or {})
        detail = ErrorDetail(type=_HTTP_TYPES.get(status, "http_error"), message=error.detail)
    if status in (429, 503):
        headers["retry-after"] = str(error.retry_after_s if isinstance(error, QueueFullError) else _RETRY_AFTER_S)
    trace.error_type = detail.type
    body = ErrorBody(error=RequestError(**detail.model_dump(), request_id=trace.request_id))
    return JSONResponse(body.model_dump(), status, headers)


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """The exception handler of everything that the table lists and of Starlette's own errors."""
    return error_response(trace_of(request.scope), error)


def responses_for(path: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI error responses of the operations of one kind (audio, text, info, health, metrics)."""
    rows = [row for row in TABLE if path in row.paths]
    return {status: _response(row for row in rows if row.status == status) for status in {row.status for row in rows}}


def _response(rows: Iterable[ErrorRow]) -> dict[str, Any]:
    return {"model": ErrorBody, "description": "\n".join(f"- `{row.type}`: {row.meaning}" for row in rows)}


def _validation_message(error: RequestValidationError) -> str:
    parts = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "; ".join(parts)
