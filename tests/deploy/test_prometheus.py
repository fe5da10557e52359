"""Debian's prometheus scrapes a real service under a short load: every expression of dashboard and alerts finds its data."""

import re
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import ServiceSettings
from tests.app.fault_client import serving
from tests.deploy.files import DEPLOY, ROOT, alerts, panels, read_yaml
from tests.deploy.real_prometheus import Prometheus, scraping
from tests.programs import debian_program
from tests.test_end_to_end import Server

EMPTY = {"Device memory", "ServiceNotLive", "DeviceMemoryShort"}
"""No data on a CPU in health; alerts_test.yml has data for the alerts."""
_SEEN = [
    *(f"rate(diffusion_link_requests_total{{status='{status}'}}[1m]) > 0" for status in (200, 422, 429, 504)),
    "rate(diffusion_link_dropped_items_total[1m]) > 0",
]
"""A rate is of two samples, so what happens for the first time is not seen before it has happened again."""
_KEY = "0123456789abcdef-second"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus beside a service with the embedded artifact that has answered, failed, refused and dropped requests."""
    debian_program("prometheus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFUSION_LINK_QUEUE_CAPACITY", "4")
        patch.setenv("DIFFUSION_LINK_MAX_FILES", "4")
        service = Server()
    try:
        port = urllib.parse.urlsplit(service.url).port
        assert port
        with scraping(tmp_path_factory.mktemp("prometheus"), port, DEPLOY / "no-key") as prometheus:
            for expression in _SEEN:
                prometheus.until(expression, lambda: _load(service.url))
            yield prometheus
    finally:
        service.stop()


def _load(url: str) -> None:
    """Captions, embeddings, texts, a bad file, requests that come too late, and more than there are places for."""
    sound = (ROOT / "examples" / "snare_drum.wav").read_bytes()
    long = (ROOT / "examples" / "forty_seconds.mp3").read_bytes()
    with httpx.Client(base_url=url, timeout=60) as http, ThreadPoolExecutor(12) as threads:
        assert http.post("/caption", files={"file": sound}).status_code == 200
        assert http.post("/bridge", files={"file": sound}).status_code == 200
        assert http.post("/text", json={"texts": ["a drum"]}).status_code == 200
        assert http.post("/caption", files={"file": b"no sound"}).status_code == 422

        def post(number: int) -> int:
            headers = {"x-timeout-ms": str(50 * number)} if number % 2 else {}
            return http.post("/caption?timeline=true", files={"file": long}, headers=headers).status_code

        assert set(threads.map(post, range(12))) <= {200, 429, 504}


def _run(prometheus: Prometheus, expression: str) -> list[dict[str, Any]]:
    """The series of an expression, with Grafana's interval filled in as Grafana does for the last minutes."""
    return prometheus.query(expression.replace("$__rate_interval", "1m"))


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_has_data(prometheus: Prometheus, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        series = _run(prometheus, target["expr"])
        assert bool(series) == (panel["title"] not in EMPTY), target["expr"]
        for labels in (entry["metric"] for entry in series):
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels.keys()


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_measures_something(prometheus: Prometheus, rule: dict[str, str]) -> None:
    measured = re.split(r" > | == ", rule["expr"])[0]
    assert bool(_run(prometheus, measured)) == (rule["alert"] not in EMPTY), measured


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
