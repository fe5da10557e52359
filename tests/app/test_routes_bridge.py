"""POST /bridge: encodings, windows, raw vectors; the bad input that it shares with POST /caption is tested there."""

import base64

import numpy as np
import pytest

from tests.app.conftest import Running
from tests.app.fakes import DIM, sound

pytestmark = pytest.mark.anyio


async def test_an_embedding(running: Running, wav: bytes) -> None:
    response = await running.http.post("/bridge", files={"file": ("dog.wav", wav)})
    body = response.json()
    assert (body["model"], body["dim"]) == ("fake", DIM)
    (result,) = body["results"]
    assert result.keys() == {"filename", "duration_s", "embedding"}
    assert len(result["embedding"]) == DIM
    assert np.linalg.norm(result["embedding"]) == pytest.approx(1, abs=1e-6)
    assert float(response.headers["x-embed-ms"]) > 0
    assert float(response.headers["x-write-ms"]) == 0
    assert running.pipeline.written == []


async def test_a_raw_body_is_the_same(running: Running, wav: bytes) -> None:
    raw = await running.http.post("/bridge", content=wav, headers={"content-type": "audio/flac"})
    form = await running.http.post("/bridge", files={"file": wav})
    assert raw.json()["results"][0]["embedding"] == form.json()["results"][0]["embedding"]


async def test_windows_and_raw_vectors(running: Running, long_wav: bytes) -> None:
    query = {"windows": "true", "raw": "true"}
    (result,) = (await running.http.post("/bridge", params=query, files={"file": long_wav})).json()["results"]
    windows = result["windows"]
    assert [(window["start_s"], window["end_s"]) for window in windows] == [(0, 10), (10, 20), (20, 30), (30, 35)]
    pooled = np.mean([window["raw"] for window in windows], axis=0)
    np.testing.assert_allclose(result["raw"], pooled / np.linalg.norm(pooled), atol=1e-6)
    vectors = [result["raw"], result["embedding"], *(window[name] for window in windows for name in ("raw", "embedding"))]
    assert len({tuple(vector) for vector in vectors}) == 10
    (fewer,) = (await running.http.post("/bridge?windows=true", files={"file": long_wav})).json()["results"]
    assert "raw" not in fewer
    assert all("raw" not in window for window in fewer["windows"])


async def test_base64_is_little_endian_float32(running: Running, wav: bytes) -> None:
    query = {"raw": "true", "windows": "true"}
    floats = (await running.http.post("/bridge", params=query, files={"file": wav})).json()["results"][0]
    query["encoding"] = "base64"
    coded = (await running.http.post("/bridge", params=query, files={"file": wav})).json()["results"][0]
    for part, expected in ((coded, floats), (coded["windows"][0], floats["windows"][0])):
        for name in ("embedding", "raw"):
            values = np.frombuffer(base64.b64decode(part[name]), "<f4")
            assert values.tolist() == expected[name]


async def test_alone_and_in_company(running: Running, wav: bytes) -> None:
    alone = (await running.http.post("/bridge", files={"file": wav})).json()["results"][0]["embedding"]
    parts = [("file", wav)] + [("file", sound(0.3, seed=seed)) for seed in range(9)]
    together = (await running.http.post("/bridge", files=parts)).json()["results"][0]["embedding"]
    np.testing.assert_allclose(together, alone, atol=1e-6)


async def test_the_seed_is_the_bridges(running: Running, wav: bytes) -> None:
    first, second = [
        (await running.http.post(f"/bridge?raw=1&seed={seed}", files={"file": wav})).json()["results"][0] for seed in (0, 1)
    ]
    assert first["raw"] == second["raw"]
    assert first["embedding"] != second["embedding"]
