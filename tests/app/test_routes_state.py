"""GET /models, /health/live, /health/ready, /metrics."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from app.settings import ServiceSettings
from tests.app.conftest import Running, Start
from tests.app.fakes import FATAL_SEED, MANIFEST, FakePipeline, error_of

pytestmark = pytest.mark.anyio

_STATE_PATHS = ("/models", "/health/live", "/health/ready", "/metrics")


async def test_what_is_served(running: Running) -> None:
    (model,) = (await running.http.get("/models")).json()["models"]
    assert (model["name"], model["version"], model["licence"], model["dim"]) == ("fake", "7", "MIT", 8)
    assert model["files"] == MANIFEST.files
    assert model["created"] == "2026-01-02T00:00:00+00:00"
    assert [model[part]["class"] for part in ("encoder", "bridge", "decoder")] == ["E", "B", "D"]


@pytest.mark.parametrize("path", _STATE_PATHS)
async def test_a_parameter_is_refused(running: Running, path: str) -> None:
    response = await running.http.get(f"{path}?x=1")
    assert (response.status_code, error_of(response)["type"]) == (422, "invalid_request")


async def test_health(running: Running) -> None:
    for path in ("/health/live", "/health/ready"):
        response = await running.http.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready"])
async def test_head_is_answered_as_get_is(running: Running, path: str) -> None:
    head, get = await running.http.head(path), await running.http.get(path)
    assert head.status_code == get.status_code == 200
    own = {"x-request-id", "x-total-ms"}
    assert {**head.headers, **dict.fromkeys(own)} == {**get.headers, **dict.fromkeys(own)}


async def test_head_says_when_it_is_not_ready(running: Running) -> None:
    await running.service.drain()
    assert (await running.http.head("/health/ready")).status_code == 503
    assert (await running.http.head("/health/live")).status_code == 200
    assert (await running.http.head("/caption")).status_code == 405


async def test_before_the_artifact_is_loaded(wav: bytes) -> None:
    app = create_app(ServiceSettings(), load=FakePipeline().load)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        assert (await http.get("/health/live")).status_code == 200
        for response in (
            await http.get("/health/ready"),
            await http.get("/models"),
            await http.post("/caption", content=wav),
        ):
            assert (response.status_code, error_of(response)["type"]) == (503, "not_ready")
            assert "loading" in error_of(response)["message"]
            assert response.headers["retry-after"] == "1"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_dead_runner(running: Running, wav: bytes) -> None:
    response = await running.http.post("/caption", params={"seed": FATAL_SEED}, files={"file": wav})
    assert (response.status_code, error_of(response)["type"]) == (503, "shutting_down")
    engine = running.service.engine
    assert engine is not None
    await asyncio.to_thread(engine.stages[0]._thread.join)
    later = [
        await running.http.get("/health/live"),
        await running.http.get("/health/ready"),
        await running.http.post("/caption", files={"file": wav}),
        await running.http.post("/text", json={"texts": ["a"]}),
    ]
    for response in later:
        assert (response.status_code, error_of(response)["type"]) == (503, "unhealthy")


async def _samples(http: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_metrics_count_what_happened(start: Start, wav: bytes) -> None:
    async with start(queue_capacity=1, max_files=1) as running:
        await running.http.post("/caption", files={"file": wav})
        await running.http.post("/caption", files={"file": b""})
        await running.http.post("/bridge", content=b"")
        await running.http.get("/some/strangers/path")
        samples = await _samples(running.http)
    count = "diffusion_link_requests_total"
    assert samples[(count, "", "/caption", "200")] == 1
    assert samples[(count, "/caption", "422", "empty_audio")] == 1
    assert samples[(count, "/bridge", "415", "unsupported_media_type")] == 1
    assert samples[(count, "404", "not_found", "unmatched")] == 1
    assert samples[("diffusion_link_request_duration_seconds_count", "/caption")] == 2
    for stage in ("receive", "decode", "embed", "bridge", "write", "answer"):
        assert samples[("diffusion_link_stage_duration_seconds_count", stage)] == (2 if stage == "receive" else 1)
    for stage in ("decode", "embed", "write"):
        assert samples[("diffusion_link_queue_duration_seconds_count", stage)] == 1
        assert samples.get(("diffusion_link_batch_duration_seconds_count", stage)) == (None if stage == "decode" else 1)
    assert samples[("diffusion_link_batch_size_sum", "embed")] == 1
    assert samples[("diffusion_link_batch_size_sum", "write")] == 1
    assert samples[("diffusion_link_batch_cost_sum", "embed")] == 1
    assert samples[("diffusion_link_batch_cost_sum", "write")] == 32
    assert samples[("diffusion_link_batch_cost_limit", "embed")] == 16
    assert samples[("diffusion_link_batch_cost_limit", "write")] == 1_024
    assert samples[("diffusion_link_failed_batches_total", "embed")] == 0
    assert samples[("diffusion_link_out_of_memory_total", "write")] == 0
    assert samples[("diffusion_link_queue_depth", "embed")] == 0
    assert samples[("diffusion_link_in_flight",)] == 0
    assert samples[("diffusion_link_audio_seconds_total",)] == 1
    assert samples[("diffusion_link_generated_tokens_total",)] == 4
    assert samples[("diffusion_link_device_memory_bytes", "total")] == 4_000
    assert samples[("diffusion_link_model_info", *sorted(("fake", "fake", "7", "E", "B", "D")))] == 1
    assert samples[("process_resident_memory_bytes",)] > 0
    assert {
        ("diffusion_link_request_duration_seconds_bucket", *sorted((edge, "/caption"))) for edge in ("0.001", "60.0")
    } <= samples.keys()
    assert "strangers" not in str(samples.keys())


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [("GET", "/nothing", 404, "not_found"), ("GET", "/caption", 405, "method_not_allowed")],
)
async def test_paths_that_are_not_there(running: Running, method: str, path: str, status: int, kind: str) -> None:
    response = await running.http.request(method, path)
    assert (response.status_code, error_of(response)["type"]) == (status, kind)


async def test_the_request_id_comes_back(running: Running) -> None:
    response = await running.http.get("/health/live", headers={"x-request-id": "mine"})
    assert response.headers["x-request-id"] == "mine"
    assert float(response.headers["x-total-ms"]) >= 0
    assert "x-queue-ms" not in response.headers


async def test_docs_are_there(running: Running) -> None:
    assert (await running.http.get("/docs")).status_code == 200
    assert (await running.http.get("/openapi.json")).json()["info"]["title"] == "Diffusion-Link"
