"""Debian's prometheus scrapes a real service under a short load: every expression of dashboard and alerts finds its data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import ServiceSettings
from tests.app.fault_client import serving
from tests.deploy.files import DEPLOY, alerts, panels, read_yaml
from tests.deploy.real_prometheus import Prometheus, scraping
from tests.deploy.under_load import prometheus_under_load, read_alert, read_target
from tests.programs import debian_program

EMPTY = {"Device memory", "ServiceNotLive", "DeviceMemoryShort"}
"""No data on a CPU in health; alerts_test.yml has data for the alerts."""
_KEY = "0123456789abcdef-second"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    debian_program("prometheus")
    with prometheus_under_load(tmp_path_factory.mktemp("prometheus")) as prometheus:
        yield prometheus


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_has_data(prometheus: Prometheus, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert bool(read_target(prometheus, panel, target)) == (panel["title"] not in EMPTY), target["expr"]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_measures_something(prometheus: Prometheus, rule: dict[str, str]) -> None:
    assert bool(read_alert(prometheus, rule)) == (rule["alert"] not in EMPTY), rule["expr"]


def test_prometheus_evaluates_the_rules_without_a_fault(prometheus: Prometheus) -> None:
    (group,) = prometheus.get("/api/v1/rules")["groups"]
    assert {rule["name"]: rule["health"] for rule in group["rules"]} == {rule["alert"]: "ok" for rule in alerts()}
    assert all("lastError" not in rule for rule in group["rules"])


def test_prometheus_shows_a_guarded_service_its_key(tmp_path: Path) -> None:
    debian_program("prometheus")
    keys, key = tmp_path / "api_keys", tmp_path / "prometheus_key"
    keys.write_text(f"# all\n0123456789abcdef-first\n{_KEY}\n", encoding="utf-8")
    key.write_text(f"{_KEY}\n", encoding="utf-8")
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    # Side by side: a Prometheus takes five seconds to begin.
    with (
        serving(tmp_path / "service", api_keys_file=str(keys)) as service,
        scraping(tmp_path / "with", service.address[1], key) as trusted,
        scraping(tmp_path / "without", service.address[1], DEPLOY / "no-key") as stranger,
    ):
        for prometheus, up in ((trusted, "1"), (stranger, "0")):
            prometheus.until("up")
            assert [entry["value"][1] for entry in prometheus.query("up")] == [up]


def test_prometheus_scrapes_the_service_by_a_name_that_both_services_bear() -> None:
    services = read_yaml("docker-compose.yml")["services"]
    mounts = dict(mount.split(":")[:2] for mount in services["prometheus"]["volumes"])
    config = read_yaml("deploy/prometheus.yml")
    (job,) = config["scrape_configs"]
    port = ServiceSettings.model_fields["port"].default
    assert job["static_configs"] == [{"targets": [f"captioner:{port}"]}]
    assert services["captioner-cpu"]["networks"]["default"]["aliases"] == ["captioner"]
    assert f"--config.file={mounts['./deploy/prometheus.yml']}" in services["prometheus"]["command"]
    assert mounts["./deploy/alerts.yml"] == f"/etc/prometheus/{config['rule_files'][0]}"
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{services['prometheus']['secrets'][0]}"
