"""Uploads: limits that hold while bytes arrive, and forms that lie or break off."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.lingering import LingeringMiddleware
from tests.app.conftest import Running, Start
from tests.app.fakes import error_of, sound

pytestmark = pytest.mark.anyio

_FORM = {"content-type": "multipart/form-data; boundary=XX"}


class _Chunks:
    """A body without a length, that knows how much of it was read."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += len(chunk)
            yield chunk


@pytest.fixture
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read after the answer, to be thrown away, does not count."""

    async def pass_on(middleware: LingeringMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        await middleware._app(scope, receive, send)

    monkeypatch.setattr(LingeringMiddleware, "__call__", pass_on)


def _part(data: bytes, disposition: str = 'form-data; name="file"; filename="a.wav"') -> bytes:
    return b"--XX\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + data + b"\r\n"


def _refused(response: httpx.Response, status: int, kind: str) -> str:
    error = error_of(response)
    assert (response.status_code, error["type"]) == (status, kind)
    return error["message"]


@pytest.mark.usefixtures("_no_lingering")
@pytest.mark.parametrize("headers", [{"content-type": "audio/wav"}, _FORM])
async def test_a_body_without_length_is_counted_while_it_arrives(start: Start, headers: dict[str, str]) -> None:
    chunks = _Chunks([_part(b"")[:-2], *[bytes(10_000)] * 100])
    async with start(max_upload_bytes=50_000) as running:
        response = await running.http.post("/caption", content=chunks, headers=headers)
        assert "50000" in _refused(response, 413, "payload_too_large")
        assert chunks.read < 70_000
        assert running.service.in_flight == 0


@pytest.mark.usefixtures("_no_lingering")
async def test_a_body_that_says_it_is_too_long_is_not_read(start: Start) -> None:
    chunks = _Chunks([bytes(10)])
    async with start(max_upload_bytes=50_000) as running:
        for length in ("50001", "9" * 5_000):
            headers = {"content-type": "audio/wav", "content-length": length}
            _refused(await running.http.post("/caption", content=chunks, headers=headers), 413, "payload_too_large")
    assert chunks.read == 0


async def test_all_files_count_together(start: Start) -> None:
    data = sound(0.2)
    async with start(max_upload_bytes=5 * len(data) // 2) as running:
        assert (await running.http.post("/caption", files=[("file", data)] * 2)).status_code == 200
        _refused(await running.http.post("/caption", files=[("file", data)] * 3), 413, "payload_too_large")


async def test_too_many_files(start: Start) -> None:
    data = sound(0.1)
    async with start(max_files=3) as running:
        assert (await running.http.post("/caption", files=[("file", data)] * 3)).status_code == 200
        message = _refused(await running.http.post("/caption", files=[("file", data)] * 4), 422, "too_many_files")
        assert "3 files" in message


async def test_many_fields(running: Running) -> None:
    fields = [("file", (None, "x"))] * 2_000
    _refused(await running.http.post("/caption", files=fields), 422, "invalid_field")


async def test_a_large_field(running: Running) -> None:
    fields = {"file": (None, "x" * 100_000)}
    assert "'file'" in _refused(await running.http.post("/caption", files=fields), 422, "invalid_field")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "malformed_multipart"),
        (b"nonsense", 400, "malformed_multipart"),
        (_part(b"abc"), 400, "malformed_multipart"),
        (_part(b"abc")[:30], 400, "malformed_multipart"),
        (_part(b"abc", 'form-data; filename="a.wav"') + b"--XX--\r\n", 400, "malformed_multipart"),
        (b"--XX\r\nno header\r\n\r\nabc\r\n--XX--\r\n", 400, "malformed_multipart"),
        (b"--XX--\r\n", 422, "missing_file"),
        (_part(b"", 'form-data; name="file"; filename=""') + b"--XX--\r\n", 422, "empty_audio"),
        (_part(b"abc") + b"--XX--\r\n", 422, "unreadable_audio"),
    ],
)
async def test_a_form_that_cannot_be(running: Running, body: bytes, status: int, kind: str) -> None:
    assert _refused(await running.http.post("/caption", content=body, headers=_FORM), status, kind)


async def test_a_form_without_a_boundary(running: Running) -> None:
    headers = {"content-type": "multipart/form-data"}
    response = await running.http.post("/caption", content=_part(b"abc"), headers=headers)
    assert "oundary" in _refused(response, 400, "malformed_multipart")


async def test_a_form_in_small_pieces(running: Running) -> None:
    body = _part(sound(0.1)) + b"--XX--\r\n"
    chunks = _Chunks([body[start : start + 97] for start in range(0, len(body), 97)])
    response = await running.http.post("/caption", content=chunks, headers=_FORM)
    assert response.json()["results"][0]["filename"] == "a.wav"


async def test_names_are_only_names(running: Running) -> None:
    for name in ("ünï 🐕.wav", "a" * 500 + ".wav", "<script>.wav", "%s\\n.wav"):
        response = await running.http.post("/caption", files={"file": (name, sound(0.1))})
        assert response.json()["results"][0]["filename"] == name


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "undefined", "latin-1", "none such"])
async def test_names_are_utf_8_whatever_the_form_says(running: Running, charset: str) -> None:
    data = sound(0.2)
    disposition = 'form-data; name="file"; filename="\\ud800 +2AA- Größe.wav"'.encode()
    body = b"--XX\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + data + b"\r\n--XX--\r\n"
    headers = {"content-type": f"multipart/form-data; boundary=XX; charset={charset}"}
    response = await running.http.post("/caption", content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["results"][0]["filename"] == "\\ud800 +2AA- Größe.wav"
