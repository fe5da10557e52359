"""API keys: a file of them, and the middleware that refuses what brings none, except for /health/* and the page.

A key is sent as `Authorization: Bearer KEY` or as `X-API-Key: KEY`; a URL is written into too many logs to hold one. Only
the digests of keys are kept, and refusal is the default: a path is open because it stands in `OPEN_PATHS`, or not at all.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.error_responses import described
from app.errors import UnauthorizedError, error_response, row_of
from app.logs import trace_of
from app.web_files import PAGE_PATHS
from models.errors import DiffusionLinkError

OPEN_PATHS = frozenset({"/health/live", "/health/ready"}) | PAGE_PATHS
"""The paths that need no key: an orchestrator's probes, and the page, which asks for a key and sends it itself."""
MAX_FILE_BYTES = 65_536
"""Every request is compared with every key, so there cannot be many of them."""
MIN_KEY_CHARS = 16

_KEY = re.compile(rb"[!-~]+")
_POLICY_VIOLATION = 1008
"""RFC 6455, section 7.4.1."""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class KeysError(DiffusionLinkError):
    """The file of API keys cannot be used; the text names the file and the line, never a key."""


class ApiKeys:
    """The keys that open the service, as digests."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        """Keep the SHA-256 digests of `keys`."""
        self._digests = tuple({hashlib.sha256(key).digest() for key in keys})

    @classmethod
    def load(cls, path: Path) -> "ApiKeys":
        """Read a file of one key a line; blank lines and those that begin with `#` are skipped.

        Raises:
            KeysError: the file cannot be read, holds no key, or has a line that is none.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise KeysError(f"{path}: {error.strerror}") from error
        if len(content) > MAX_FILE_BYTES:
            raise KeysError(f"{path}: a file of API keys may have {MAX_FILE_BYTES} bytes; this one is larger")
        lines = [(number, line.strip()) for number, line in enumerate(content.splitlines(), 1)]
        keys = [_checked(path, number, line) for number, line in lines if line and not line.startswith(b"#")]
        if not keys:
            raise KeysError(f"{path}: holds no key; nobody could use the service")
        return cls(keys)

    def allows(self, presented: str | None) -> bool:
        """Whether `presented` is one of the keys."""
        if presented is None:
            return False
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        allowed = False
        # All of them, whatever the first ones say, and each in constant time: the time taken tells nothing of any key.
        for known in self._digests:
            allowed |= hmac.compare_digest(digest, known)
        return allowed


class KeysMiddleware:
    """ASGI middleware that answers 401 before anything of a request but its headers has been read."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        """Guard `app`."""
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan" or (kind == "http" and scope["path"] in OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        presented = list(_presented(Headers(scope=scope)))
        if any(self._keys.allows(key) for key in presented):
            await self._app(scope, receive, send)
        elif kind == "http":
            fault = "the API key is not known here" if presented else "there is no API key"
            error = UnauthorizedError(f"{fault}; send one as Authorization: Bearer KEY, or as X-API-Key: KEY")
            response = error_response(trace_of(scope), error)
            response.headers["www-authenticate"] = "Bearer"
            await response(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})


def guard(app: FastAPI, keys: ApiKeys) -> None:
    """Put the middleware around what `app` has so far, and say so in its OpenAPI."""
    app.add_middleware(KeysMiddleware, keys=keys)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        return _declared(plain())

    app.openapi = openapi  # type: ignore[method-assign]


def _declared(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the security schemes and the 401 to every operation that needs a key; once or twice comes to the same."""
    schema["components"]["securitySchemes"] = _SCHEMES
    row = row_of(UnauthorizedError())
    for path, operations in schema["paths"].items():
        if path not in OPEN_PATHS:
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _SCHEMES]
                operation["responses"] = dict(sorted((operation["responses"] | {str(row.status): described(row)}).items()))
    return schema


def _checked(path: Path, number: int, line: bytes) -> bytes:
    if len(line) < MIN_KEY_CHARS or not _KEY.fullmatch(line):
        raise KeysError(
            f"{path}, line {number}: a key is at least {MIN_KEY_CHARS} printable ASCII characters without spaces, alone on "
            "its line"
        )
    return line


def _presented(headers: Headers) -> Iterator[str]:
    """Every key of a request, in either header."""
    for value in headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer":
            yield key.strip()
    yield from headers.getlist("x-api-key")
