"""The document at /openapi.json: valid, whole, and made of the one table; test_openapi_*.py compare it with real answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.error_responses import unlisted_responses
from app.errors import TABLE
from app.main import create_app
from app.response_headers import EVERY_ANSWER, stage_times
from app.settings import ServiceSettings
from app.times import STAGES
from tests.app.conftest import Running
from tests.app.openapi_document import Document

_OPERATIONS = {
    "caption_sounds": ("post", "/caption", "captions"),
    "embed_sounds": ("post", "/bridge", "embeddings"),
    "embed_texts": ("post", "/text", "embeddings"),
    "list_models": ("get", "/models", "service"),
    "check_live": ("get", "/health/live", "service"),
    "check_ready": ("get", "/health/ready", "service"),
    "read_metrics": ("get", "/metrics", "service"),
}
"""Code that others have generated is called by these names."""


@pytest.fixture(params=[False, True], ids=["open", "with keys"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Document:
    keys = tmp_path / "keys.txt"
    keys.write_text("alpha-0123456789abcdef", encoding="ascii")
    return Document(create_app(ServiceSettings(api_keys_file=keys if request.param else None)).openapi())


def _responses(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for (method, path), operation in document.operations.items():
        for status, response in operation["responses"].items():
            yield f"{method} {path} {status}", response
    yield from document.content["components"]["responses"].items()


def test_it_is_valid(document: Document) -> None:
    OpenAPIV31SpecValidator(document.content).validate()


def test_operations_keep_their_names(document: Document) -> None:
    found = {
        operation["operationId"]: (method, path, *operation["tags"])
        for (method, path), operation in document.operations.items()
    }
    assert found == _OPERATIONS
    tags = document.content["tags"]
    assert {tag["name"] for tag in tags} == {tag for _, _, tag in _OPERATIONS.values()}
    assert all(tag["description"] for tag in tags)


def test_everything_is_described(document: Document) -> None:
    info = document.content["info"]
    assert all(info[name] for name in ("title", "version", "summary", "description"))
    for operation in document.operations.values():
        assert operation["summary"]
        assert operation["description"]
        for parameter in operation["parameters"]:
            assert parameter["description"], parameter["name"]
        if "requestBody" in operation:
            assert operation["requestBody"]["description"]
    for name, response in _responses(document):
        assert response["description"], name
        assert response["description"] != "Successful Response"
        assert all(header["description"] for header in response["headers"].values())
    for name, schema in document.content["components"]["schemas"].items():
        assert schema["description"], name
        for field, described in schema["properties"].items():
            assert described["description"], f"{name}.{field}"


def test_parameters_have_their_bounds(document: Document) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in document.operations["post", "/caption"]["parameters"]
        if parameter["in"] == "query"
    }
    assert parameters.keys() == {"candidates", "timeline", "max_new_tokens", "seed", "bridge"}
    assert [parameters["candidates"][bound] for bound in ("minimum", "maximum", "default")] == [1, 8, 1]
    for operation in document.operations.values():
        names = [parameter["name"] for parameter in operation["parameters"]]
        assert names.count("x-request-id") == 1
        assert ("x-timeout-ms" in names) is ("requestBody" in operation)


def test_both_forms_of_audio_have_a_schema(document: Document) -> None:
    for path in ("/caption", "/bridge"):
        body = document.operations["post", path]["requestBody"]
        form = body["content"].pop("multipart/form-data")["schema"]["properties"]["file"]
        assert (form["type"], form["minItems"]) == ("array", 1)
        assert {"audio/wav", "audio/*"} < body["content"].keys()
        for raw in [form["items"], *(content["schema"] for content in body["content"].values())]:
            assert (raw["type"], raw["format"]) == ("string", "binary")
        for command in ("-F file=@a.wav -F file=@b.mp3", "--data-binary @a.wav"):
            assert command in body["description"]
            assert f"http://127.0.0.1:8000{path}`" in body["description"]


def test_examples_are_valid(document: Document) -> None:
    count = 0
    contents = [content for _, response in _responses(document) for content in response["content"].values()]
    contents.append(document.operations["post", "/text"]["requestBody"]["content"]["application/json"])
    for content in contents:
        if "example" not in content:
            assert content["examples"]
        for example in content.get("examples", {}).values():
            assert example["summary"]
            document.check_value(content["schema"], example["value"])
            count += 1
    assert count > len(TABLE)


def test_every_row_that_can_be_answered_has_a_message(document: Document) -> None:
    shown = {
        (example["value"]["error"]["type"], example["value"]["error"]["message"])
        for name, response in _responses(document)
        if not name.endswith("200")
        for example in response["content"]["application/json"]["examples"].values()
    }
    listed = [row for row in TABLE if row.paths or row.type in unlisted_responses()]
    assert all(row.example for row in listed)
    assert {(row.type, row.example) for row in listed} <= shown


def test_stage_headers_are_the_stages() -> None:
    names = {f"x-{stage}-ms" for stage in STAGES}
    assert stage_times(required=True).keys() == names | {"x-queue-ms"}
    assert EVERY_ANSWER.keys() == {"x-request-id", "x-total-ms"}


@pytest.mark.anyio
async def test_it_is_made_once_and_counted(running: Running) -> None:
    app = running.http._transport.app  # type: ignore[attr-defined]
    assert app.openapi() is app.openapi()
    assert (await running.http.get("/openapi.json")).json() == app.openapi()
    await running.http.get("/docs")
    await running.http.get("/docs/docs.js")
    metrics = (await running.http.get("/metrics")).text
    for route in ("/openapi.json", "/docs", "/docs/{name}"):
        assert f'diffusion_link_requests_total{{error_type="",route="{route}",status="200"}} 1.0' in metrics
    assert 'route="unmatched"' not in metrics
