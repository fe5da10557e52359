"""The files of the page and of /docs, read once, and the headers that a browser gets them with.

Nothing comes from another site, and the Content-Security-Policy holds the browser to it. Swagger UI is the copy in the
package fastapi-swagger, which follows Swagger UI's releases; nothing but these two files is used of it.
"""

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response

_OURS, _SWAGGER = files("app") / "web", files("fastapi_swagger.resources")
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_NOWHERE_ELSE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
)
_ALWAYS = {
    # A browser asks again after an upgrade, so that the parts of a page are of one version.
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file, as it is sent."""

    content: bytes
    headers: dict[str, str]

    @classmethod
    def read(cls, folder: Traversable, name: str, policy: str) -> "WebFile":
        """Read a file of a package."""
        kind = {"content-type": _TYPES[name.rpartition(".")[2]], "content-security-policy": policy}
        return cls((folder / name).read_bytes(), kind | _ALWAYS)

    def response(self) -> Response:
        """The response that holds it."""
        return Response(self.content, headers=self.headers)


_PAGE_POLICY = _NOWHERE_ELSE + "img-src 'self'; media-src blob:"
_DOCS_POLICY = _NOWHERE_ELSE + "img-src 'self' data:"
"""Swagger UI's style sheet holds its icons as data: URLs."""
_PAGE_NAMES = (
    "copy.js",
    "dom.js",
    "errors.js",
    "files.js",
    "finder.js",
    "icon.svg",
    "list.css",
    "list.js",
    "page.css",
    "page.js",
    "player.js",
    "progress.js",
    "recorder-worklet.js",
    "recorder.js",
    "recording.js",
    "result.css",
    "result.js",
    "search.js",
    "service.js",
    "sounds.js",
    "turns.js",
    "wav.js",
    "waveform.js",
)

PAGE = WebFile.read(_OURS, "index.html", _PAGE_POLICY)
PAGE_FILES = {name: WebFile.read(_OURS, name, _PAGE_POLICY) for name in _PAGE_NAMES}
PAGE_PATHS = frozenset({"/", *(f"/page/{name}" for name in PAGE_FILES)})
"""Everything that the page is made of; nothing of it is a secret, so no path here needs an API key."""
DOCS = WebFile.read(_OURS, "docs.html", _DOCS_POLICY)
DOCS_FILES = {
    "docs.css": WebFile.read(_OURS, "docs.css", _DOCS_POLICY),
    "docs.js": WebFile.read(_OURS, "docs.js", _DOCS_POLICY),
    "swagger-ui-bundle.js": WebFile.read(_SWAGGER, "swagger-ui-bundle.js", _DOCS_POLICY),
    "swagger-ui.css": WebFile.read(_SWAGGER, "swagger-ui.css", _DOCS_POLICY),
}
