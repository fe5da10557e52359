"""Places, deadlines, hanging up, draining: requests that meet the service's limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from app.main import create_app
from app.settings import ServiceSettings
from models.artifact import EMBEDDED_ARTIFACT
from models.errors import ArtifactError
from tests.app.conftest import Running, Start
from tests.app.fakes import WAIT_S, FakePipeline, error_of, sound

pytestmark = pytest.mark.anyio


async def _held(running: Running, wav: bytes, path: str = "/caption") -> "asyncio.Task[httpx.Response]":
    """A request that is on the device and stays there until the gate opens."""
    running.pipeline.gate.clear()
    running.pipeline.entered.clear()
    task = asyncio.create_task(running.http.post(path, files={"file": wav}))
    assert await asyncio.to_thread(running.pipeline.entered.wait, WAIT_S)
    return task


def _app(running: Running) -> ASGIApp:
    transport = running.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    return transport.app


def _scope(content_type: bytes) -> dict[str, Any]:
    headers = [(b"content-type", content_type)]
    return {"type": "http", "method": "POST", "path": "/caption", "query_string": b"", "headers": headers}


async def test_load_gets_the_settings(pipeline: FakePipeline, start: Start) -> None:
    async with start(artifact=Path("there"), device="cpu", cpu_threads=3, precision="bf16", compile=True):
        assert pipeline.loaded == (Path("there"), "cpu", 3, "bf16", True)
        assert pipeline.warm
    async with start():
        assert pipeline.loaded == (EMBEDDED_ARTIFACT, "auto", None, "auto", False)


async def test_a_bad_artifact_stops_the_start() -> None:
    def load(directory: Path, *_: object) -> Any:
        raise ArtifactError(directory, "is damaged")

    app = create_app(ServiceSettings(artifact=Path("bad")), load)
    with pytest.raises(ArtifactError, match="bad: is damaged"):
        async with app.router.lifespan_context(app):
            pass


async def test_no_place_is_429_and_a_free_one_is_taken(start: Start, wav: bytes) -> None:
    async with start(queue_capacity=2, max_files=2) as running:
        held = await _held(running, wav)
        assert running.service.in_flight == 1
        refused = await running.http.post("/caption", files=[("file", wav), ("file", wav)])
        assert (refused.status_code, error_of(refused)["type"]) == (429, "queue_full")
        assert refused.headers["retry-after"] == "1"
        running.service.pace.retry_after_s = lambda places: 7 * places  # type: ignore[method-assign]
        assert (await running.http.post("/caption", files=[("file", wav)] * 2)).headers["retry-after"] == "14"
        second = asyncio.create_task(running.http.post("/bridge", files={"file": wav}))
        while running.service.in_flight < 2:
            await asyncio.sleep(0)
        text = await running.http.post("/text", json={"texts": ["a"]})
        assert text.status_code == 429
        running.pipeline.gate.set()
        assert (await held).status_code == (await second).status_code == 200
        assert running.service.in_flight == 0
        assert (await running.http.post("/text", json={"texts": ["a"]})).status_code == 200


async def test_a_late_answer_is_504(start: Start, wav: bytes) -> None:
    async with start(request_timeout_s=0.2) as running:
        held = await _held(running, wav)
        response = await held
        assert (response.status_code, error_of(response)["type"]) == (504, "timeout")
        assert running.service.in_flight == 0
        running.pipeline.gate.set()


@pytest.mark.parametrize("path", ["/caption", "/bridge", "/text"])
async def test_the_client_may_wait_less(start: Start, wav: bytes, path: str) -> None:
    async with start() as running:
        held = await _held(running, wav)
        body = {"json": {"texts": ["a"]}} if path == "/text" else {"files": {"file": wav}}
        late = await running.http.post(path, headers={"x-timeout-ms": "150"}, **body)
        assert (late.status_code, error_of(late)["type"]) == (504, "timeout")
        assert "0.15 s" in error_of(late)["message"]
        assert running.service.in_flight == 1
        running.pipeline.gate.set()
        assert (await held).status_code == 200
        assert (await running.http.post(path, headers={"x-timeout-ms": "30000"}, **body)).status_code == 200


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "9" * 400, ""])
async def test_a_wait_that_is_none(running: Running, wav: bytes, value: str) -> None:
    response = await running.http.post("/caption", headers={"x-timeout-ms": value}, files={"file": wav})
    assert (response.status_code, error_of(response)["type"]) == (422, "invalid_request")


async def test_the_service_s_own_limit_holds(start: Start, wav: bytes) -> None:
    async with start(request_timeout_s=0.2) as running:
        running.pipeline.gate.clear()
        response = await running.http.post("/caption", headers={"x-timeout-ms": "60000"}, files={"file": wav})
        assert (response.status_code, "0.2 s" in error_of(response)["message"]) == (504, True)
        running.pipeline.gate.set()


async def test_a_batch_that_takes_too_long_is_not_live(start: Start, wav: bytes) -> None:
    async with start(batch_timeout_s=0.05) as running:
        held = await _held(running, wav)
        await asyncio.sleep(0.1)
        for path in ("/health/live", "/health/ready"):
            response = await running.http.get(path)
            assert (response.status_code, error_of(response)["type"]) == (503, "unhealthy")
            assert "longer than 0.05 s" in error_of(response)["message"]
        running.pipeline.gate.set()
        assert (await held).status_code == 200
        assert (await running.http.get("/health/live")).status_code == 200


async def test_a_slow_upload_is_504(start: Start) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"RIFF"
        await asyncio.Event().wait()

    async with start(request_timeout_s=0.05) as running:
        response = await running.http.post("/caption", content=body(), headers={"content-type": "audio/wav"})
        assert (response.status_code, error_of(response)["type"]) == (504, "timeout")


async def test_a_timeout_inside_is_not_the_deadline(running: Running, wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def embed_texts(*_: object) -> None:
        raise TimeoutError("of something else")

    assert running.service.engine is not None
    monkeypatch.setattr(running.service.engine, "embed_texts", embed_texts)
    response = await running.http.post("/text", json={"texts": ["a"]})
    assert (response.status_code, error_of(response)["type"]) == (500, "internal_error")


async def test_what_queued_up_goes_together(start: Start, wav: bytes) -> None:
    async with start(decode_workers=1) as running:
        held = await _held(running, wav)
        others = [asyncio.create_task(running.http.post("/bridge", files={"file": wav})) for _ in range(5)]
        assert running.service.engine is not None
        while running.service.engine.stages[0].queued_cost < 5:
            await asyncio.sleep(0)
        running.pipeline.gate.set()
        assert [(await task).status_code for task in [held, *others]] == [200] * 6
        assert running.pipeline.embedded == [1, 5]


async def test_more_sound_than_there_is_room_for(start: Start, long_wav: bytes) -> None:
    async with start(embed_max_batch_cost=1) as running:
        parts = [("file", long_wav), ("file", sound(95.0, 8_000)), ("file", long_wav), ("file", sound(0.5))]
        results = (await running.http.post("/bridge", files=parts)).json()["results"]
        assert [result["duration_s"] for result in results] == [35, 95, 35, 0.5]
        assert running.pipeline.embedded == [1] * 19


async def test_draining_refuses_new_and_finishes_old(start: Start, wav: bytes) -> None:
    async with start() as running:
        held = await _held(running, wav)
        drain = asyncio.create_task(running.service.drain())
        await asyncio.sleep(0)
        for response in (await running.http.post("/caption", files={"file": wav}), await running.http.get("/health/ready")):
            assert (response.status_code, error_of(response)["type"]) == (503, "not_ready")
            assert "shutting down" in error_of(response)["message"]
        assert (await running.http.get("/health/live")).status_code == 200
        assert not drain.done()
        running.pipeline.gate.set()
        assert (await held).status_code == 200
        await drain
        assert (await running.http.get("/health/live")).status_code == 200
        await running.service.drain()


async def test_what_is_not_done_in_time_is_503(start: Start, wav: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with start(drain_timeout_s=0.05) as running:
        held = await _held(running, wav)
        await running.service.drain()
        response = await held
        assert (response.status_code, error_of(response)["type"]) == (503, "shutting_down")
        assert "1 files had no answer within drain_timeout_s" in caplog.text


@pytest.mark.parametrize("kind", [b"audio/wav", b"multipart/form-data; boundary=XX"])
async def test_a_client_that_hangs_up_while_it_sends(running: Running, wav: bytes, kind: bytes) -> None:
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"--XX\r\n", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await _app(running)(_scope(kind), receive, send)
    assert sent == []
    assert running.service.in_flight == 0
    assert 'error_type="client_gone",route="/caption",status="499"' in running.service.metrics.exposition().decode()


async def test_a_client_that_hangs_up_frees_its_place(running: Running, wav: bytes) -> None:
    running.pipeline.gate.clear()
    body = [{"type": "http.request", "body": wav, "more_body": False}]
    gone, sent = asyncio.Event(), list[Any]()

    async def receive() -> Any:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    held = await _held(running, wav)
    request = asyncio.create_task(_app(running)(_scope(b"audio/wav"), receive, send))
    assert running.service.engine is not None
    embed = running.service.engine.stages[0]
    while embed.queued_cost == 0:
        await asyncio.sleep(0)
    gone.set()
    await request
    assert sent == []
    assert embed.queued_cost == 0
    assert running.service.in_flight == 1
    running.pipeline.gate.set()
    assert (await held).status_code == 200
    assert running.pipeline.embedded == [1]
    assert 'status="499"' in running.service.metrics.exposition().decode()
