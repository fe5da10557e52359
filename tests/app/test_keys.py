"""API keys: which requests need one, and what OpenAPI says of it; test_keys_file.py has the file."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from app.keys import OPEN_PATHS, ApiKeys, KeysMiddleware
from app.logs import begin_trace
from app.main import create_app
from app.settings import ServiceSettings
from app.web_files import PAGE_PATHS
from tests.app.conftest import Running, Start
from tests.app.fakes import FakePipeline, error_of

_KEYS = ["alpha-0123456789abcdef", "beta+0123456789/abcdef==", "gamma.0123456789~abcdef"]
_BEARER = {"authorization": f"Bearer {_KEYS[0]}"}
_WRONG = [
    {},
    {"authorization": "Bearer wrong-0123456789abcdef"},
    {"x-api-key": "wrong-0123456789abcdef"},
    {"x-api-key": ""},
    {"x-api-key": _KEYS[0][:-1]},
    {"x-api-key": _KEYS[0] + "x"},
    {"x-api-key": _KEYS[0].upper()},
    {"x-api-key": ",".join(_KEYS)},
    {"authorization": _KEYS[0]},
    {"authorization": f"Basic {_KEYS[0]}"},
    {"authorization": "Bearer"},
    {"cookie": f"key={_KEYS[0]}"},
]


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text("# of the team\n\n" + "\r\n".join(_KEYS), encoding="ascii")
    return path


async def _reply(http: httpx.AsyncClient, method: str, path: str, **settings: Any) -> httpx.Response:
    response = await http.request(method.upper(), path, **settings)
    if response.status_code == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert error_of(response)["type"] == "unauthorized"
        assert not any(key in response.text for key in _KEYS)
    return response


@pytest.mark.anyio
async def test_every_operation_but_health_needs_a_key(start: Start, keys_file: Path) -> None:
    async with start(api_keys_file=keys_file) as running:
        paths = create_app(running.service.settings).openapi()["paths"]
        operations = [(path, method) for path, methods in paths.items() for method in methods]
        assert {path for path, _ in operations} > OPEN_PATHS - PAGE_PATHS
        for path, method in operations:
            expected = 200 if path in OPEN_PATHS else 401
            for headers in _WRONG:
                assert (await _reply(running.http, method, path, headers=headers)).status_code == expected
            for name in ("key", "api_key", "x-api-key", "access_token", "authorization"):
                status = (await _reply(running.http, method, path, params={name: _KEYS[0]})).status_code
                assert status == (422 if path in OPEN_PATHS else 401)


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/page.py",
        "/docs",
        "/openapi.json",
        "/docs/oauth2-redirect",
        "/nothing",
        "/health",
        "/health/",
        "/health/live/",
        "/Health/Live",
    ],
)
async def test_what_is_in_no_openapi_needs_a_key_too(start: Start, keys_file: Path, method: str, path: str) -> None:
    async with start(api_keys_file=keys_file) as running:
        response = await running.http.request(method, path)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert (await running.http.request(method, path, headers=_BEARER)).status_code in (200, 307, 404, 405)


@pytest.mark.anyio
async def test_a_route_of_tomorrow_needs_a_key(keys_file: Path) -> None:
    app = create_app(ServiceSettings(api_keys_file=keys_file), load=FakePipeline().load)

    @app.get("/tomorrow")
    async def tomorrow() -> str:
        return "new"

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        assert (await http.get("/tomorrow")).status_code == 401
        assert (await http.get("/tomorrow", headers=_BEARER)).text == '"new"'
    operation = app.openapi()["paths"]["/tomorrow"]["get"]
    assert operation["security"]
    assert "401" in operation["responses"]


@pytest.mark.anyio
@pytest.mark.parametrize("key", _KEYS)
@pytest.mark.parametrize(
    ("header", "prefix"), [("Authorization", "Bearer "), ("authorization", "bearer  "), ("X-API-Key", "")]
)
async def test_either_header_opens(start: Start, keys_file: Path, wav: bytes, key: str, header: str, prefix: str) -> None:
    async with start(api_keys_file=keys_file) as running:
        headers = {header: prefix + key}
        assert (await running.http.get("/models", headers=headers)).status_code == 200
        captioned = await running.http.post("/caption", files={"file": wav}, headers=headers)
        assert captioned.json()["results"][0]["caption"]
        assert (await running.http.get("/health/live", headers=headers)).status_code == 200


@pytest.mark.anyio
async def test_a_right_key_beside_a_wrong_one_opens(start: Start, keys_file: Path) -> None:
    async with start(api_keys_file=keys_file) as running:
        headers = {"authorization": "Bearer of-a-proxy-0123456789", "x-api-key": _KEYS[1]}
        assert (await running.http.get("/models", headers=headers)).status_code == 200


@pytest.mark.anyio
async def test_without_the_setting_nobody_needs_a_key(running: Running) -> None:
    assert (await running.http.get("/models")).status_code == 200
    assert (await running.http.get("/models", headers={"x-api-key": "whatever"})).status_code == 200


@pytest.mark.anyio
async def test_a_refusal_is_traced_and_counted(start: Start, keys_file: Path) -> None:
    async with start(api_keys_file=keys_file) as running:
        response = await running.http.post("/caption", headers={"x-request-id": "mine"})
        assert error_of(response)["request_id"] == "mine"
        assert running.service.in_flight == 0
        (line,) = [
            line
            for line in (await running.http.get("/metrics", headers=_BEARER)).text.splitlines()
            if line.startswith("diffusion_link_requests_total") and 'status="401"' in line
        ]
        assert 'error_type="unauthorized"' in line
        assert line.endswith(" 1.0")


async def _never() -> Message:
    raise AssertionError("the body was read")


def _scope(kind: str, path: str, **headers: str) -> Scope:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": kind, "path": path, "headers": raw}
    begin_trace(scope, None)
    return scope


@pytest.mark.anyio
async def test_the_body_is_not_read() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await KeysMiddleware(_Inner(), ApiKeys([_KEYS[0].encode()]))(_scope("http", "/caption"), _never, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 401


class _Inner:
    """An app that notes what came through."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/live-captions", "/health/live"])
async def test_a_websocket_needs_a_key_wherever_it_goes(path: str) -> None:
    inner, sent = _Inner(), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    guarded = KeysMiddleware(inner, ApiKeys([_KEYS[0].encode()]))
    await guarded(_scope("websocket", path), _never, send)
    assert (inner.scopes, sent) == ([], [{"type": "websocket.close", "code": 1008}])
    await guarded(_scope("websocket", path, authorization=f"Bearer {_KEYS[0]}"), _never, send)
    assert [scope["path"] for scope in inner.scopes] == [path]


def _openapi(keys_file: Path | None) -> tuple[FastAPI, dict[str, Any]]:
    app = create_app(ServiceSettings(api_keys_file=keys_file))
    return app, app.openapi()


def test_openapi_says_which_operations_need_a_key(keys_file: Path) -> None:
    app, schema = _openapi(keys_file)
    assert schema["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == (None if path in OPEN_PATHS else [{"bearer": []}, {"apiKey": []}])
            assert ("401" in operation["responses"]) is (path not in OPEN_PATHS)
    assert "`unauthorized`" in schema["paths"]["/caption"]["post"]["responses"]["401"]["description"]
    assert "ErrorBody" in schema["components"]["schemas"]
    assert app.openapi() == schema


def test_openapi_says_nothing_of_keys_where_there_are_none() -> None:
    _, schema = _openapi(None)
    assert "securitySchemes" not in schema["components"]
    assert not any("security" in operation for operations in schema["paths"].values() for operation in operations.values())
