"""Errors of the service, and the one table from an error to its HTTP status; error_responses.py makes OpenAPI's from it.

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

from collections.abc import Sequence
from dataclasses import dataclass

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
    """One row of the table; `paths` says which kinds of OpenAPI operations can answer it, `example` is a message of it."""

    error: type[Exception]
    status: int
    type: str
    meaning: str
    paths: tuple[str, ...]
    example: str = ""


_AUDIO, _TEXT, _WORK = ("audio",), ("text",), ("audio", "text")
_READY = ("audio", "text", "info", "ready")
_ANY = (*_READY, "live", "metrics")
_UNLISTED = ()
"""Answered by no operation: outside of all of them, or the root of errors that have rows of their own."""
_FAULT = "A fault of the service; its log has the request id."

TABLE = (
    ErrorRow(
        MalformedMultipartError,
        400,
        "malformed_multipart",
        "The multipart body cannot be read.",
        _AUDIO,
        "the form breaks off before its last boundary",
    ),
    ErrorRow(
        UnauthorizedError,
        401,
        "unauthorized",
        "The request brings no valid API key.",
        _UNLISTED,
        "there is no API key; send one as Authorization: Bearer KEY, or as X-API-Key: KEY",
    ),
    ErrorRow(HTTPException, 404, "not_found", "There is no such path.", _UNLISTED, "Not Found"),
    ErrorRow(HTTPException, 405, "method_not_allowed", "The path has other methods.", _UNLISTED, "Method Not Allowed"),
    ErrorRow(
        PayloadTooLargeError,
        413,
        "payload_too_large",
        "The body is larger than max_upload_bytes, or than max_texts of max_text_chars.",
        _WORK,
        "the body is larger than 67108864 bytes",
    ),
    ErrorRow(
        UnsupportedMediaTypeError,
        415,
        "unsupported_media_type",
        "The content type is not taken here.",
        _WORK,
        "text/plain is not taken here; send application/json",
    ),
    ErrorRow(
        RequestValidationError,
        422,
        "invalid_request",
        "A query parameter is unknown or out of range, or x-timeout-ms is.",
        _ANY,
        "query.colour: Extra inputs are not permitted",
    ),
    ErrorRow(
        InvalidBodyError, 422, "invalid_request", "The JSON body is not what the path takes.", _TEXT, "texts: Field required"
    ),
    ErrorRow(
        FieldError,
        422,
        "invalid_field",
        "A form part is not called file, or is not a file.",
        _AUDIO,
        "dog.wav: the part 'audio' of the form is not called 'file'",
    ),
    ErrorRow(
        MissingFileError,
        422,
        "missing_file",
        "The form holds no file.",
        _AUDIO,
        "the form has no part; send the audio in the part 'file'",
    ),
    ErrorRow(TooManyFilesError, 422, "too_many_files", "More files than max_files.", _AUDIO, "a request may hold 16 files"),
    ErrorRow(
        TooManyTextsError, 422, "too_many_texts", "More texts than max_texts.", _TEXT, "257 texts; a request may hold 256"
    ),
    *(
        ErrorRow(error, 422, error.type, str(error.__doc__), _AUDIO, example)
        for error, example in (
            (domain.EmptyAudioError, "dog.wav: the file is empty"),
            (domain.UnreadableAudioError, "dog.wav: not a WAV, FLAC, OGG or MP3 file"),
            (domain.DamagedAudioError, "dog.wav: the file holds samples that are not finite numbers (NaN or infinity)"),
            (domain.UnsupportedAudioError, "dog.wav: a sample rate of 384000 Hz is not supported (4000 to 192000 Hz)"),
            (domain.AudioTooShortError, "dog.wav: the clip lasts 0.0208 ms; the least is 50 ms"),
            (domain.AudioTooLongError, "dog.wav: the clip is longer than 600 s"),
        )
    ),
    ErrorRow(domain.AudioError, 422, domain.AudioError.type, str(domain.AudioError.__doc__), _UNLISTED),
    ErrorRow(
        domain.TextError,
        422,
        domain.TextError.type,
        "A text is blank or longer than max_text_chars.",
        _TEXT,
        "texts.1: the text is blank",
    ),
    ErrorRow(domain.InputError, 422, domain.InputError.type, str(domain.InputError.__doc__), _UNLISTED),
    ErrorRow(
        QueueFullError,
        429,
        "queue_full",
        "No free place; try again after Retry-After seconds.",
        _WORK,
        "64 of 64 places are taken; this request needs 1 more",
    ),
    ErrorRow(Exception, 500, "internal_error", _FAULT, _ANY, _FAULT),
    ErrorRow(NotReadyError, 503, "not_ready", "The service is loading or shutting down.", _READY, "the service is loading"),
    ErrorRow(
        UnhealthyError,
        503,
        "unhealthy",
        "The service needs a restart.",
        (*_READY, "live"),
        "a worker of the service is gone; restart it",
    ),
    ErrorRow(
        StageClosedError,
        503,
        "shutting_down",
        "The service stopped before the answer was ready.",
        _WORK,
        "the embed stage closed before this item was done",
    ),
    ErrorRow(
        domain.DeviceMemoryError,
        503,
        "out_of_memory",
        "The device has no memory for this item now.",
        _WORK,
        "dog.wav: cuda:0 is out of memory",
    ),
    ErrorRow(
        RequestTimeoutError,
        504,
        "timeout",
        "No answer within request_timeout_s, or x-timeout-ms.",
        _WORK,
        "no answer within 0.05 s",
    ),
)
_ROWS = {row.error: row for row in TABLE if row.error is not HTTPException}
HTTP_ROWS = {row.status: row for row in TABLE if row.error is HTTPException}
"""Of Starlette's own errors; it raises no others here."""


def row_of(error: Exception) -> ErrorRow:
    """The row of the nearest listed class of an error."""
    if isinstance(error, AllFilesFailedError):
        return row_of(error.failures[0][1])
    if isinstance(error, HTTPException):
        return HTTP_ROWS.get(error.status_code, _ROWS[Exception])
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
    elif isinstance(error, HTTPException) and row.error is HTTPException:
        message = error.detail
    else:
        message = row.meaning if row.error is Exception else str(error)
    return ErrorDetail(type=row.type, message=message)


def error_response(trace: Trace, error: Exception) -> JSONResponse:
    """The response to a request that failed, noted in its trace."""
    status, detail = row_of(error).status, detail_of(error)
    headers = dict((error.headers if isinstance(error, HTTPException) else None) or {})
    if status in (429, 503):
        headers["retry-after"] = str(error.retry_after_s if isinstance(error, QueueFullError) else _RETRY_AFTER_S)
    trace.error_type = detail.type
    body = ErrorBody(error=RequestError(**detail.model_dump(), request_id=trace.request_id))
    return JSONResponse(body.model_dump(), status, headers)


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """The exception handler of everything that the table lists and of Starlette's own errors."""
    return error_response(trace_of(request.scope), error)


def _validation_message(error: RequestValidationError) -> str:
    parts = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "; ".join(parts)
