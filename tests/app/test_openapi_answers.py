"""Every refusal that can be provoked over HTTP is declared: status, headers, type and body; and no other is."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import TABLE
from app.main import create_app
from app.settings import ServiceSettings
from models.errors import DeviceMemoryError
from models.pipeline import ScoredCaption
from tests.app.bad_files import BAD_FILES
from tests.app.conftest import Running, Start
from tests.app.fakes import FATAL_SEED, POISON_SEED, WAIT_S, FakePipeline, encoded, sound
from tests.app.openapi_document import Document

pytestmark = pytest.mark.anyio

_GOOD = sound(0.1)
_FORM = {"content": b"--XX\r\n", "headers": {"content-type": "multipart/form-data; boundary=XX"}}
_NO_PART = {"content": b"--XX--\r\n", "headers": {"content-type": "multipart/form-data; boundary=XX"}}
_TOO_LARGE = {"content-length": str(64 * 1024 * 1024 + 1)}
_BAD = [*BAD_FILES.values(), (encoded(np.zeros(40_000), 384_000), "unsupported_audio")]


class Seen:
    """The answers of services, each compared with the document."""

    def __init__(self) -> None:
        self.answers = set[tuple[str, str]]()
        """Path and error type."""
        self.messages = set[tuple[str, str]]()

    async def ask(self, http: httpx.AsyncClient, method: str, path: str, expected: str = "", **content: Any) -> None:
        """Send a request, and compare the answer; `expected` is the error type."""
        response = await http.request(method, path, **content)
        Document(http._transport.app.openapi()).check(response)  # type: ignore[attr-defined]
        error = response.json()["error"] if response.is_error else {"type": "", "message": ""}
        assert error["type"] == expected, response.text
        self.answers.add((response.request.url.path, error["type"]))
        self.messages.add((error["type"], error["message"]))


def _work() -> list[tuple[str, dict[str, Any]]]:
    """One good request for each path that does work."""
    files = {"files": {"file": ("dog.wav", _GOOD)}}
    return [("/caption", files), ("/bridge", files), ("/text", {"json": {"texts": ["a dog"]}})]


async def _ask_wrongly(seen: Seen, http: httpx.AsyncClient) -> None:
    for path in ("/caption", "/bridge"):
        await seen.ask(http, "POST", path, "malformed_multipart", **_FORM)
        await seen.ask(http, "POST", path, "missing_file", **_NO_PART)
        await seen.ask(http, "POST", path, "invalid_field", files={"audio": ("dog.wav", _GOOD)})
        await seen.ask(http, "POST", path, "too_many_files", files=[("file", _GOOD)] * 17)
        await seen.ask(http, "POST", path, "internal_error", files={"file": _GOOD}, params={"seed": POISON_SEED})
        for data, type in _BAD:
            await seen.ask(http, "POST", path, type, files={"file": ("dog.wav", data)})
    for body, type in (
        ({}, "invalid_request"),
        ({"texts": ["a", " "]}, "invalid_text"),
        ({"texts": ["a"] * 257}, "too_many_texts"),
    ):
        await seen.ask(http, "POST", "/text", type, json=body)
    for path, content in _work():
        await seen.ask(http, "POST", path, **content)
        await seen.ask(http, "POST", path, "invalid_request", params={"colour": 1}, **content)
        await seen.ask(http, "POST", path, "invalid_request", headers={"x-timeout-ms": "0"}, **content)
        kind = "application/json" if path == "/text" else "audio/wav"
        await seen.ask(http, "POST", path, "payload_too_large", headers={"content-type": kind} | _TOO_LARGE, content=b"")
        await seen.ask(http, "POST", path, "unsupported_media_type", headers={"content-type": "text/plain"}, content=b"")
        await seen.ask(http, "GET", path, "method_not_allowed")
    for path in ("/models", "/health/live", "/health/ready", "/metrics"):
        await seen.ask(http, "GET", path)
        await seen.ask(http, "GET", path, "invalid_request", params={"colour": 1})
        await seen.ask(http, "POST", path, "method_not_allowed")
    await seen.ask(http, "GET", "/nothing", "not_found")


async def _ask_when_full_and_late(seen: Seen, running: Running) -> None:
    running.pipeline.gate.clear()
    held = [asyncio.create_task(running.http.post("/caption", files=[("file", _GOOD)] * 16)) for _ in range(3)]
    while running.service.in_flight < 48:
        await asyncio.sleep(0.001)
    for path, content in _work():
        await seen.ask(running.http, "POST", path, "timeout", headers={"x-timeout-ms": "50"}, **content)
    held.append(asyncio.create_task(running.http.post("/bridge", files=[("file", _GOOD)] * 16)))
    while running.service.in_flight < 64:
        await asyncio.sleep(0.001)
    for path, content in _work():
        await seen.ask(running.http, "POST", path, "queue_full", **content)
    running.pipeline.gate.set()
    assert {response.status_code for response in await asyncio.gather(*held)} == {200}


async def _ask_while_it_stops(seen: Seen, running: Running) -> None:
    running.pipeline.gate.clear()
    running.pipeline.entered.clear()
    held = [asyncio.create_task(seen.ask(running.http, "POST", path, "shutting_down", **body)) for path, body in _work()]
    assert await asyncio.to_thread(running.pipeline.entered.wait, WAIT_S)
    while running.service.in_flight < len(held):
        await asyncio.sleep(0.001)
    await running.service.drain()
    await asyncio.gather(*held)


async def _ask_before_the_start(seen: Seen) -> None:
    app = create_app(ServiceSettings(), load=FakePipeline().load)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        for path, content in _work():
            await seen.ask(http, "POST", path, "not_ready", **content)
        for path in ("/models", "/health/ready"):
            await seen.ask(http, "GET", path, "not_ready")
        await seen.ask(http, "GET", "/health/live")


async def _ask_when_dead(seen: Seen, running: Running) -> None:
    await running.http.post("/caption", params={"seed": FATAL_SEED}, files={"file": _GOOD})
    assert running.service.engine is not None
    await asyncio.to_thread(running.service.engine.stages[0]._thread.join)
    for path, content in _work():
        await seen.ask(running.http, "POST", path, "unhealthy", **content)
    for path in ("/models", "/health/live", "/health/ready"):
        await seen.ask(running.http, "GET", path, "unhealthy")


async def _ask_without_memory(seen: Seen, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[list[ScoredCaption]]:
        raise DeviceMemoryError("cuda:0 is out of memory")

    for name in ("embed_audio", "embed_texts"):
        monkeypatch.setattr(running.pipeline, name, fail)
    for path, content in _work():
        await seen.ask(running.http, "POST", path, "out_of_memory", **content)


async def _ask_when_it_is_broken(seen: Seen, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(running.service, "ready_engine", fail)
    monkeypatch.setattr(running.service, "check_alive", fail)
    monkeypatch.setattr(running.service.metrics, "exposition", fail)
    await seen.ask(running.http, "POST", "/text", "internal_error", json={"texts": ["a"]})
    for path in ("/models", "/health/live", "/health/ready", "/metrics"):
        await seen.ask(running.http, "GET", path, "internal_error")


async def _ask_without_a_key(seen: Seen, running: Running, key: str) -> None:
    for path, content in _work():
        await seen.ask(running.http, "POST", path, "unauthorized", **content)
        await seen.ask(running.http, "POST", path, headers={"x-api-key": key}, **content)
    for path in ("/models", "/metrics"):
        await seen.ask(running.http, "GET", path, "unauthorized")


def _declared(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Path and type of every refusal that an operation declares."""
    return {
        (path, example["value"]["error"]["type"])
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if status != "200"
        for example in response["content"]["application/json"]["examples"].values()
    }


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_what_is_answered_is_declared_and_what_is_declared_is_answered(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, keys, key = Seen(), tmp_path / "keys.txt", "alpha-0123456789abcdef"
    keys.write_text(key, encoding="ascii")
    async with start() as running:
        await _ask_wrongly(seen, running.http)
        await _ask_when_full_and_late(seen, running)
    await _ask_before_the_start(seen)
    async with start(drain_timeout_s=0.05) as running:
        await _ask_while_it_stops(seen, running)
    async with start() as running:
        await _ask_when_dead(seen, running)
    async with start(api_keys_file=keys) as running:
        await _ask_without_a_key(seen, running, key)
    async with start() as running:
        await _ask_without_memory(seen, running, monkeypatch)
    async with start() as running:
        await _ask_when_it_is_broken(seen, running, monkeypatch)
    outside = ("", "not_found", "method_not_allowed")
    answered = {(path, type) for path, type in seen.answers if type not in outside}
    assert answered == _declared(create_app(ServiceSettings(api_keys_file=keys)).openapi())
    # Which of its messages a request gets that the service stops on is a matter of the moment.
    said = {(row.type, row.example) for row in TABLE if row.example and row.type != "shutting_down"}
    assert said <= seen.messages
