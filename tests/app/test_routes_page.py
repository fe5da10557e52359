"""The page, /docs, and the files that they are made of; tests/page opens them in a browser."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from app.web_files import DOCS_FILES, PAGE_FILES, PAGE_PATHS
from tests.app.conftest import Running, Start
from tests.app.fakes import error_of

pytestmark = pytest.mark.anyio

_DOCS_PATHS = {"/docs", *(f"/docs/{name}" for name in DOCS_FILES)}
_ALL = sorted(PAGE_PATHS | _DOCS_PATHS)
_REFERENCE = re.compile(r"""(?:src|href)="([^"]+)"|from "\./([^"]+)"|addModule\("([^"]+)"\)""")


def _policy(header: str) -> dict[str, set[str]]:
    directives = (directive.split() for directive in header.split(";"))
    return {name: set(sources) for name, *sources in directives}


@pytest.mark.parametrize("path", _ALL)
async def test_a_browser_may_load_nothing_from_elsewhere_and_run_nothing_inline(running: Running, path: str) -> None:
    response = await running.http.get(path)
    assert response.status_code == 200
    policy = _policy(response.headers["content-security-policy"])
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == {"'none'"}
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == {"'self'"}
    assert set().union(*policy.values()) <= {"'none'", "'self'", "blob:", "data:"}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/page/page.js", "text/javascript"),
        ("/page/page.css", "text/css"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
    ],
)
async def test_each_file_says_what_it_is(running: Running, path: str, kind: str) -> None:
    assert (await running.http.get(path)).headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    "path", ["/page/none.js", "/page/../keys.py", "/page/%2e%2e%2fkeys.py", "/page/", "/docs/__init__.py"]
)
async def test_nothing_else_of_the_package_is_served(running: Running, path: str) -> None:
    response = await running.http.get(path, follow_redirects=True)
    assert response.status_code == 404
    assert error_of(response)["type"] == "not_found"


async def test_every_file_of_the_folder_is_served() -> None:
    ours = {entry.name for entry in (files("app") / "web").iterdir()}
    assert ours == {*PAGE_FILES, "index.html", "docs.css", "docs.html", "docs.js"}


@pytest.mark.parametrize("path", [path for path in _ALL if "swagger" not in path])
async def test_what_a_file_refers_to_is_there(running: Running, path: str) -> None:
    text = (await running.http.get(path)).text
    assert "http:" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "https:" not in text
    for found in _REFERENCE.findall(text):
        relative, module, worklet = found
        url = f"/page/{module}" if module else f"/{relative or worklet}"
        assert (await running.http.get(url)).status_code == 200, url


async def test_with_api_keys_the_page_is_open_and_what_it_calls_is_not(start: Start, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("alpha-0123456789abcdef", encoding="ascii")
    async with start(api_keys_file=keys) as running:
        for path in PAGE_PATHS:
            assert (await running.http.get(path)).status_code == 200
        for path in (*_DOCS_PATHS, "/openapi.json", "/models", "/page/none.js", "/page"):
            assert (await running.http.get(path)).status_code == 401
        for path in ("/caption", "/bridge"):
            assert (await running.http.post(path)).status_code == 401


async def test_the_page_is_no_part_of_the_api(running: Running) -> None:
    paths = (await running.http.get("/openapi.json")).json()["paths"]
    assert "/caption" in paths
    assert not {"/", "/docs", "/page/{name}", "/docs/{name}"} & set(paths)
    assert (await running.http.post("/")).status_code == 405
