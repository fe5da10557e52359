"""POST /text: embeddings of texts, and every body that is refused."""

import json

import numpy as np
import pytest

from tests.app.conftest import Running, Start
from tests.app.fakes import DIM, error_of

pytestmark = pytest.mark.anyio

_JSON = {"content-type": "application/json"}


async def test_texts(running: Running) -> None:
    response = await running.http.post("/text", json={"texts": ["a dog", "rain 🌧"]})
    body = response.json()
    assert (response.status_code, body["model"], body["dim"]) == (200, "fake", DIM)
    assert [result["text"] for result in body["results"]] == ["a dog", "rain 🌧"]
    for result in body["results"]:
        assert result.keys() == {"text", "embedding"}
        assert np.linalg.norm(result["embedding"]) == pytest.approx(1, abs=1e-6)
    assert running.pipeline.texts == [2]
    assert "x-embed-ms" in response.headers
    coded = (await running.http.post("/text?encoding=base64", json={"texts": ["a dog"]})).json()
    assert isinstance(coded["results"][0]["embedding"], str)


async def test_as_many_and_as_long_as_allowed(start: Start) -> None:
    async with start(max_texts=3, max_text_chars=5) as running:
        body = json.dumps({"texts": ["😀" * 5] * 3}, ensure_ascii=True)
        assert (await running.http.post("/text", content=body, headers=_JSON)).status_code == 200


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        (b"", "invalid_request", "JSON"),
        (b"{", "invalid_request", "JSON"),
        (b"[]", "invalid_request", "object"),
        (b'{"texts": []}', "invalid_request", "texts"),
        (b'{"texts": "a dog"}', "invalid_request", "texts"),
        (b'{"texts": [1, 2, 3, 4, 5]}', "invalid_request", "texts.2"),
        (b'{"texts": ["a"], "text": 1}', "invalid_request", "text: "),
        (b'{"texts": ["\\ud800"]}', "invalid_request", "body"),
        (b'{"texts": ["\xff"]}', "invalid_request", "body"),
        (b"[" * 100_000, "invalid_request", "body"),
        (b'{"texts": ["a", " \\n"]}', "invalid_text", "texts.1: the text is blank"),
        (json.dumps({"texts": ["a" * 1_001]}).encode(), "invalid_text", "texts.0: 1001 characters"),
        (json.dumps({"texts": ["a dog barks"] * 10_000}).encode(), "too_many_texts", "10000 texts"),
    ],
)
async def test_a_bad_body(running: Running, body: bytes, error_type: str, message: str) -> None:
    response = await running.http.post("/text", content=body, headers=_JSON)
    error = error_of(response)
    assert (response.status_code, error["type"]) == (422, error_type)
    assert message in error["message"]
    assert len(error["message"]) < 500
    assert running.pipeline.texts == []


async def test_a_large_body(start: Start) -> None:
    async with start(max_texts=1, max_text_chars=1) as running:
        response = await running.http.post("/text", json={"texts": ["a" * 2_000]})
        assert (response.status_code, error_of(response)["type"]) == (413, "payload_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
async def test_a_wrong_content_type(running: Running, kind: str) -> None:
    response = await running.http.post("/text", content=b'{"texts": ["a"]}', headers={"content-type": kind})
    assert (response.status_code, error_of(response)["type"]) == (415, "unsupported_media_type")


async def test_a_wrong_query(running: Running) -> None:
    response = await running.http.post("/text?encoding=hex", json={"texts": ["a"]})
    assert (response.status_code, error_of(response)["type"]) == (422, "invalid_request")
