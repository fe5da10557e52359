"""The table of errors: whole, unambiguous, and the same as what OpenAPI says."""

import inspect
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app import errors
from app.error_responses import responses_for
from app.errors import (
    TABLE,
    AllFilesFailedError,
    NotReadyError,
    ServiceError,
    TooManyFilesError,
    detail_of,
    error_response,
    row_of,
)
from app.logs import begin_trace
from app.main import create_app
from app.settings import ServiceSettings
from app.stage import QueueFullError
from models import errors as domain

_OPERATIONS = {
    ("/caption", "post"): "audio",
    ("/bridge", "post"): "audio",
    ("/text", "post"): "text",
    ("/models", "get"): "info",
    ("/health/live", "get"): "live",
    ("/health/ready", "get"): "ready",
    ("/metrics", "get"): "metrics",
}


def _subclasses(module: Any, root: type) -> set[type]:
    return {kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, root) and kind is not root}


def test_every_error_has_a_row() -> None:
    assert _subclasses(errors, ServiceError) - {AllFilesFailedError} <= {row.error for row in TABLE}
    for kind in _subclasses(domain, domain.InputError):
        row = row_of(kind("x"))
        assert (row.error, row.status, row.type) == (kind, 422, kind.type)


def test_one_type_has_one_status() -> None:
    assert len({(row.type, row.status) for row in TABLE}) == len({row.type for row in TABLE})


@pytest.mark.parametrize(
    ("error", "status", "error_type", "message"),
    [
        (TooManyFilesError("too many"), 422, "too_many_files", "too many"),
        (domain.DamagedAudioError("cut"), 422, "damaged_audio", "cut"),
        (type("NewAudioError", (domain.AudioError,), {})("new"), 422, "invalid_audio", "new"),
        (QueueFullError("full"), 429, "queue_full", "full"),
        (domain.DeviceMemoryError("cpu is out of memory"), 503, "out_of_memory", "cpu is out of memory"),
        (KeyError("secret"), 500, "internal_error", "A fault of the service; its log has the request id."),
        (domain.ArtifactError("/secret", "x"), 500, "internal_error", "A fault of the service; its log has the request id."),
        (
            RequestValidationError(
                [{"loc": ("query", "seed"), "msg": "too low"}, {"loc": ("query", "x"), "msg": "unknown"}]
            ),
            422,
            "invalid_request",
            "query.seed: too low; query.x: unknown",
        ),
        (
            AllFilesFailedError([("a", domain.EmptyAudioError("is empty")), (None, KeyError("secret"))]),
            422,
            "empty_audio",
            "a: is empty; A fault of the service; its log has the request id.",
        ),
    ],
)
def test_what_users_see(error: Exception, status: int, error_type: str, message: str) -> None:
    detail = detail_of(error)
    assert (row_of(error).status, detail.type, detail.message) == (status, error_type, message)


@pytest.mark.parametrize(
    ("error", "status", "error_type", "message"),
    [
        (HTTPException(404), 404, "not_found", "Not Found"),
        (HTTPException(405, headers={"Allow": "GET"}), 405, "method_not_allowed", "Method Not Allowed"),
        (HTTPException(418, "secret"), 500, "internal_error", "A fault of the service; its log has the request id."),
    ],
)
def test_starlette_s_own_errors(error: HTTPException, status: int, error_type: str, message: str) -> None:
    response = error_response(begin_trace({}, "id"), error)
    assert (response.status_code, response.headers.get("allow")) == (status, "GET" if status == 405 else None)
    assert (detail_of(error).type, detail_of(error).message) == (error_type, message)


@pytest.mark.parametrize(
    ("error", "retry_after"), [(QueueFullError("x"), "1"), (NotReadyError("x"), "1"), (KeyError(), None)]
)
def test_who_should_try_again_is_told_when(error: Exception, retry_after: str | None) -> None:
    trace = begin_trace({}, "id")
    response = error_response(trace, error)
    assert response.headers.get("retry-after") == retry_after
    assert trace.error_type == row_of(error).type


def test_openapi_lists_the_table() -> None:
    paths = create_app(ServiceSettings()).openapi()["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == _OPERATIONS.keys()
    for (path, method), kind in _OPERATIONS.items():
        responses = paths[path][method]["responses"]
        rows = [row for row in TABLE if kind in row.paths]
        assert responses.keys() - {"200"} == {str(row.status) for row in rows}
        for row in rows:
            assert f"`{row.type}`: {row.meaning}" in responses[str(row.status)]["description"]
            schema = responses[str(row.status)]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}
    assert responses_for("nothing") == {}
