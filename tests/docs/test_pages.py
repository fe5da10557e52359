"""What the pages say of settings, calls, headers, errors, metrics and alerts is what the code has."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.errors import TABLE, error_response
from app.logs import Trace
from app.main import create_app
from app.settings import ServiceSettings
from app.stage import QueueFullError
from docs import tables
from tests.app.fakes import FakePipeline
from tests.docs.blocks import PAGES, ROOT

DOCS = ROOT / "docs"
_METRIC_ROW = re.compile(r"\| `(diffusion_link_\w+)` \| (\w+) \|([\w, ]*)\|")
_OF_HTTP_ITSELF = {"content-length", "content-type"}
_SERIES = re.compile(r"_(bucket|count|sum)$")


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


async def _answers(wav: bytes, keys: Path) -> list[httpx.Response]:
    """A caption, what is counted meanwhile, and the refusal of who brings no key."""
    app = create_app(ServiceSettings(api_keys_file=keys), load=FakePipeline().load)
    transport, headers = httpx.ASGITransport(app), {"x-api-key": keys.read_text(encoding="utf-8").strip()}
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        captioned = await http.post("/caption", files={"file": wav}, headers=headers)
        app.state.service.metrics.on_drop("embed", "expired", 1)
        return [captioned, await http.get("/metrics", headers=headers), await http.get("/metrics")]


@pytest.fixture(scope="module")
def answers(tone_wav: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[httpx.Response]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("a-key-of-this-test\n", encoding="utf-8")
    answers = asyncio.run(_answers(tone_wav, keys))
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    return answers


@pytest.mark.parametrize(
    "page", [page.name for page in DOCS.glob("*.md") if "<!-- table:" in page.read_text(encoding="utf-8")]
)
def test_the_tables_are_those_of_the_code(page: str) -> None:
    assert _page(page) == tables.rendered(_page(page)), "python docs/tables.py writes them anew"


def test_each_table_is_on_a_page_once() -> None:
    found = re.findall(r"<!-- table: (\S+) -->", "".join(map(_page, ("api.md", "serving.md"))))
    assert sorted(found) == ["bridge-query", "caption-query", "errors", "settings", "text-query"]
    for name in ServiceSettings.model_fields:
        assert f"| `DIFFUSION_LINK_{name.upper()}` |" in _page("serving.md")
    for row in TABLE:
        assert f"| {row.status} | `{row.type}` |" in _page("api.md")


def test_every_call_and_header_of_a_request_is_told_of() -> None:
    page = _page("api.md")
    for path, operations in create_app(ServiceSettings()).openapi()["paths"].items():
        for method, operation in operations.items():
            assert f"| `{method.upper()} {path}` |" in page
            for parameter in operation.get("parameters", []):
                assert f"| `{parameter['name']}` |" in page, parameter


def test_every_header_of_an_answer_is_told_of(answers: list[httpx.Response]) -> None:
    errors = [error_response(Trace("a"), error) for error in (QueueFullError("full", 3), RuntimeError())]
    seen = {name.lower() for answer in [*answers, *errors] for name in answer.headers}
    assert {"x-request-id", "x-embed-ms", "retry-after", "www-authenticate"} <= seen
    told = set(re.findall(r"`([\w-]+)`", _page("api.md").partition("## Headers of an answer")[2].partition("\n## ")[0]))
    assert seen - _OF_HTTP_ITSELF <= told


def test_the_metrics_are_those_that_are_exposed(answers: list[httpx.Response]) -> None:
    families = {}
    for family in text_string_to_metric_families(answers[1].text):
        if family.name.startswith("diffusion_link_") and not family.name.endswith("_created"):
            labels = {name for sample in family.samples for name in sample.labels} - {"le"}
            name, kind = family.name, family.type
            if name.endswith("_info"):
                kind = "info"
            families[name + "_total" * (kind == "counter")] = (kind, labels)
    rows = _METRIC_ROW.findall(_page("metrics.md"))
    assert {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows} == families


def test_no_page_names_a_metric_that_is_not_there() -> None:
    known = {name for name, _, _ in _METRIC_ROW.findall(_page("metrics.md"))}
    for page in PAGES:
        for name in re.findall(r"\bdiffusion_link_(?!client\b)\w+", page.read_text(encoding="utf-8")):
            assert name in known or _SERIES.sub("", name) in known, name


def test_every_alert_has_its_line() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    told = re.findall(r"^\| `(\w+)` \|", _page("operations.md").partition("## Alerts")[2], re.MULTILINE)
    assert told == [rule["alert"] for rule in rules]
