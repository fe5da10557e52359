"""Every example of /openapi.json is run, as the command that it shows, against the service with the embedded artifact."""

import argparse
import asyncio
import base64
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.main import create_app
from app.settings import ServiceSettings
from tests.app.openapi_document import Document

_ROOT = Path(__file__).parents[2]
_SCORE, _NUMBER = 2e-4, 1e-3
"""Other processors and versions of torch round differently."""
_CURL = argparse.ArgumentParser()
_CURL.add_argument("url")
_CURL.add_argument("-F", dest="parts", action="append", default=[])
_CURL.add_argument("-H", dest="headers", action="append", default=[])
_CURL.add_argument("-d", "--data-binary", dest="data")


@pytest.fixture(scope="module")
def examples() -> dict[tuple[str, str], tuple[dict[str, Any], httpx.Response]]:
    """Each example with the answer to its command."""
    app = create_app(ServiceSettings())
    document = Document(app.openapi())

    async def run() -> dict[tuple[str, str], tuple[dict[str, Any], httpx.Response]]:
        found = {}
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as http:
            for (method, path), operation in document.operations.items():
                content = operation["responses"]["200"]["content"]
                for name, example in content.get("application/json", {}).get("examples", {}).items():
                    response = await http.send(_request(method, example["description"]))
                    document.check(response)
                    found[path, name] = (example, response)
        return found

    return asyncio.run(run())


def _request(method: str, description: str) -> httpx.Request:
    """What curl would send."""
    command = re.match(r"`(.+?)`", description)
    assert command, description
    program, *words = shlex.split(command[1])
    assert program == "curl"
    curl = _CURL.parse_args(words)
    parts = [part.partition("=@") for part in curl.parts]
    files = [(name, (Path(path).name, (_ROOT / path).read_bytes())) for name, _, path in parts]
    data = curl.data and ((_ROOT / curl.data[1:]).read_bytes() if curl.data.startswith("@") else curl.data)
    headers = dict(header.split(": ") for header in curl.headers)
    return httpx.Request(method.upper(), curl.url, files=files or None, content=data, headers=headers)


def _assert_shown(shown: Any, real: Any, key: str = "") -> None:
    """Assert that the example is the answer; embeddings may be shortened, and so may the free objects of a model."""
    if key in ("embedding", "raw"):
        _assert_begins(shown, real)
    elif isinstance(shown, dict):
        free = key in ("encoder", "bridge", "decoder", "files", "training_data", "metrics")
        assert shown, key
        assert shown.keys() <= real.keys() if free else shown.keys() == real.keys(), key
        for name, value in shown.items():
            _assert_shown(value, real[name], name)
    elif isinstance(shown, list):
        assert len(shown) == len(real)
        for one, other in zip(shown, real, strict=True):
            _assert_shown(one, other, key)
    else:
        assert type(shown) is type(real)
        assert shown == (pytest.approx(real, abs=_SCORE) if key == "score" else real), key


def _assert_begins(shown: Any, real: Any) -> None:
    numbers, whole = _numbers(shown), _numbers(real)
    assert type(shown) is type(real)
    assert 3 <= len(numbers) < len(whole) == 256
    assert numbers == pytest.approx(whole[: len(numbers)], abs=_NUMBER)


def _numbers(embedding: list[float] | str) -> np.ndarray:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return np.array(embedding)


_NAMES = [
    ("/caption", "form"),
    ("/caption", "raw"),
    ("/caption", "several"),
    ("/caption", "timeline"),
    ("/bridge", "form"),
    ("/bridge", "windows"),
    ("/text", "texts"),
    ("/models", "embedded"),
    ("/health/live", "live"),
    ("/health/ready", "ready"),
]


@pytest.mark.parametrize(("path", "name"), _NAMES)
def test_an_example_is_what_the_service_answers(examples: Any, path: str, name: str) -> None:
    example, response = examples[path, name]
    assert (response.status_code, response.request.url.path) == (200, path)
    _assert_shown(example["value"], response.json())


def test_every_example_is_tried(examples: Any) -> None:
    assert examples.keys() == set(_NAMES)
