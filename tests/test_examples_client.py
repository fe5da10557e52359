"""examples/diffusion_link_client.py: retries, parts, errors of one file and of a request, and the service's own bodies."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusion_link_client
import httpx
import pytest
from diffusion_link_client import AsyncClient, Client, ServiceError

from app import schemas
from app.errors import TABLE, PayloadTooLargeError
from models.errors import AudioError

Answer = httpx.Response | Exception
_FULL = {"error": {"type": "queue_full", "message": "full", "request_id": "r1"}}


class Script:
    """Answers in order, and the requests that they were given to."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.requests = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Call a method of either client, against a script."""

    def sync(script: Script, method: str, *arguments: Any, retries: int = 5, **named: Any) -> Any:
        with Client("http://test", "key-of-the-test", retries=retries) as client:
            client.http._transport = httpx.MockTransport(script)
            return getattr(client, method)(*arguments, **named)

    async def asynchronous(script: Script, method: str, *arguments: Any, retries: int = 5, **named: Any) -> Any:
        async with AsyncClient("http://test", "key-of-the-test", retries=retries) as client:
            client.http._transport = httpx.MockTransport(script)
            return await getattr(client, method)(*arguments, **named)

    if request.param == "sync":
        return sync
    return lambda *arguments, **named: asyncio.run(asynchronous(*arguments, **named))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients wait, which they do not."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(diffusion_link_client.asyncio, "sleep", sleep)
    return waited


def _texts(*rows: list[float]) -> httpx.Response:
    return httpx.Response(200, json={"results": [{"embedding": row} for row in rows]})


def _captions(*names: str) -> httpx.Response:
    return httpx.Response(200, json={"results": [{"filename": name, "caption": f"sound {name}"} for name in names]})


def _refused(type: str, status: int = 422) -> httpx.Response:
    return httpx.Response(status, json={"error": {"type": type, "message": f"it is {type}", "request_id": "r2"}})


def _files(tmp_path: Path, count: int) -> list[Path]:
    paths = [tmp_path / f"{index}.wav" for index in range(count)]
    for path in paths:
        path.write_bytes(b"RIFF")
    return paths


def test_a_full_service_is_asked_again_after_as_long_as_it_says(call: Call, waits: list[float]) -> None:
    values = ["3", None, "soon", "86400", "-1"]
    headers = [{} if value is None else {"retry-after": value} for value in values]
    script = Script(
        *(httpx.Response(429 + 74 * (i % 2), json=_FULL, headers=h) for i, h in enumerate(headers)), _texts([1.0])
    )
    assert call(script, "embed_texts", ["a"]) == [[1.0]]
    assert waits == [0, 3, 1, 1, 30, 1]
    assert {request.content for request in script.requests} == {b'{"texts":["a"]}'}
    assert script.requests[-1].headers["authorization"] == "Bearer key-of-the-test"


def test_it_gives_up(call: Call, waits: list[float]) -> None:
    script = Script(*[httpx.Response(429, json=_FULL)] * 3)
    with pytest.raises(ServiceError) as caught:
        call(script, "embed_texts", ["a"], retries=2)
    error = caught.value
    assert (error.type, error.message, error.request_id, error.status) == ("queue_full", "full", "r1", 429)
    assert len(script.requests) == 3


def test_files_go_in_parts(call: Call, waits: list[float], tmp_path: Path) -> None:
    paths, done = _files(tmp_path, 18), list[tuple[int, int]]()
    names = [path.name for path in paths]
    script = Script(_captions(*names[:16]), _captions(*names[16:]))
    results = call(script, "caption", paths, candidates=3, timeline=True, progress=lambda *now: done.append(now))
    assert [result["filename"] for result in results] == names
    assert done == [(16, 18), (18, 18)]
    assert [request.content.count(b'filename="') for request in script.requests] == [16, 2]
    assert script.requests[0].url.query == b"candidates=3&timeline=true"


def test_large_files_do_not_go_together(
    call: Call, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion_link_client, "_BYTES_A_REQUEST", 8)
    paths = _files(tmp_path, 4)
    paths[1].write_bytes(b"RIFF" * 3)
    names = [path.name for path in paths]
    script = Script(_captions(names[0]), _captions(names[1]), _captions(*names[2:]))
    assert len(call(script, "caption", paths)) == 4


def test_files_that_all_fail_have_an_error_each(call: Call, waits: list[float], tmp_path: Path) -> None:
    script = Script(_refused("empty_audio"), _refused("empty_audio"), _refused("payload_too_large", 413))
    results = call(script, "bridge", _files(tmp_path, 2))
    assert [(result["filename"], result["error"]["type"]) for result in results] == [
        ("0.wav", "empty_audio"),
        ("1.wav", "payload_too_large"),
    ]


def test_a_request_that_is_wrong_is_raised(call: Call, waits: list[float], tmp_path: Path) -> None:
    script = Script(_refused("invalid_request"))
    with pytest.raises(ServiceError, match=r"it is invalid_request \(invalid_request\)"):
        call(script, "caption", _files(tmp_path, 2), candidates=99)


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (502, "<html>bad gateway", "<html>bad gateway"),
        (404, '["no","object"]', '["no","object"]'),
        (301, "", "Moved Permanently"),
        (200, "captive portal", "captive portal"),
    ],
)
def test_what_a_proxy_may_answer(call: Call, waits: list[float], status: int, text: str, message: str) -> None:
    with pytest.raises(ServiceError) as caught:
        call(Script(httpx.Response(status, text=text)), "embed_texts", ["a"])
    assert (caught.value.type, caught.value.message, caught.value.status) == ("http_error", message, status)


def test_no_service(call: Call, waits: list[float]) -> None:
    with pytest.raises(ServiceError) as caught:
        call(Script(httpx.ConnectError("refused")), "embed_texts", ["a"])
    assert (caught.value.type, caught.value.status) == ("no_answer", None)


@pytest.mark.parametrize(
    ("theirs", "ours", "left_out"),
    [
        (diffusion_link_client.ErrorDetail, schemas.ErrorDetail, set()),
        (diffusion_link_client.FailedFile, schemas.FailedFile, set()),
        (diffusion_link_client.ScoredCaption, schemas.ScoredCaption, set()),
        (diffusion_link_client.TimelineEntry, schemas.TimelineEntry, set()),
        (diffusion_link_client.CaptionedFile, schemas.CaptionedFile, set()),
        (diffusion_link_client.EmbeddedFile, schemas.EmbeddedFile, {"windows", "raw"}),
    ],
)
def test_bodies_are_the_services(theirs: Any, ours: Any, left_out: set[str]) -> None:
    assert set(theirs.__annotations__) == ours.model_fields.keys() - left_out
    required = {name for name, field in ours.model_fields.items() if field.is_required()}
    assert theirs.__required_keys__ == required


def test_errors_of_files_are_the_services() -> None:
    types = {row.type for row in TABLE if issubclass(row.error, AudioError | PayloadTooLargeError)}
    assert types == diffusion_link_client._FILE_FAULTS
