"""The dashboard and Grafana's provisioning: files that fit each other, panels that can be read, metrics that exist."""

import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics
from models.pipeline import Pipeline
from tests.app.fakes import FakePipeline
from tests.deploy.files import DEPLOY, alerts, panels, read_yaml

COLUMNS = 24
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))


def _known_metrics() -> set[str]:
    metrics = Metrics()
    pipeline: Pipeline = FakePipeline()
    metrics.watch_pipeline(pipeline)
    families = list(text_string_to_metric_families(metrics.exposition().decode()))
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    return {family.name + suffix for family in families for suffix in suffixes.get(family.type, [""])}


def _expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [rule["expr"] for rule in alerts()]


@pytest.mark.parametrize("expression", _expressions())
def test_every_metric_is_one_of_the_service(expression: str) -> None:
    names = set(re.findall(r"\b(?:diffusion_link|process)_\w+", expression))
    assert names or re.search(r"\b(up|ALERTS)\{", expression)
    assert names <= _known_metrics()


def test_panels_lie_beside_each_other() -> None:
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= COLUMNS
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == COLUMNS * height, "there is a hole"


def test_panels_have_names_of_their_own() -> None:
    for key in ("id", "title"):
        assert len({panel[key] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows_in_what_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in ("stat", "timeseries")
    assert panel["fieldConfig"]["defaults"]["unit"]
    (source,) = read_yaml("deploy/grafana/datasources.yml")["datasources"]
    assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
    assert all(target["legendFormat"] for target in panel["targets"])
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == sorted(set(letters))


def test_seconds_and_bytes_have_their_units() -> None:
    for panel in panels():
        expressions = " ".join(target["expr"] for target in panel["targets"])
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert (unit == "s") == ("histogram_quantile" in expressions), panel["title"]
        assert (unit == "bytes") == ("_bytes" in expressions), panel["title"]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    compose = read_yaml("docker-compose.yml")
    mounts = dict(mount.split(":")[:2] for mount in compose["services"]["grafana"]["volumes"])
    (source,) = read_yaml("deploy/grafana/datasources.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == read_yaml("deploy/prometheus.yml")["global"]["scrape_interval"]
    (provider,) = read_yaml("deploy/grafana/dashboards.yml")["providers"]
    dashboard = mounts["./deploy/grafana/dashboard.json"]
    assert dashboard.rpartition("/")[0] == provider["options"]["path"]
    assert compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == dashboard
    for kind in ("datasources", "dashboards"):
        assert mounts[f"./deploy/grafana/{kind}.yml"] == f"/etc/grafana/provisioning/{kind}/{kind}.yml"


def test_grafana_has_no_user_whose_password_could_be_guessed() -> None:
    environment = read_yaml("docker-compose.yml")["services"]["grafana"]["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
