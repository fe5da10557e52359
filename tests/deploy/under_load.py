"""A real service under a short load with Debian's prometheus beside it, and what dashboard and alerts show of it.

`python -m tests.deploy.under_load` prints that as a table, in Markdown.
"""

import json
import re
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.files import DEPLOY, ROOT, alerts, panels
from tests.deploy.real_prometheus import Prometheus, scraping
from tests.test_end_to_end import Server

_SEEN = [
    *(f"rate(diffusion_link_requests_total{{status='{status}'}}[1m]) > 0" for status in (200, 422, 429, 504)),
    "rate(diffusion_link_dropped_items_total[1m]) > 0",
]
"""A rate is of two samples, so what happens for the first time is not seen before it has happened again."""
_UNITS = {"s": "{:.3g} s", "reqps": "{:.3g} requests/s", "ops": "{:.3g}/s", "percentunit": "{:.1%}", "none": "{:.4g}"}


@dataclass(frozen=True)
class Reading:
    """One series: the row and the panel (or `Alerts` and the alert) that it is of, its legend and its last value."""

    row: str
    title: str
    legend: str
    value: float
    unit: str

    def __str__(self) -> str:
        value = f"{self.value / 2**20:.0f} MiB" if self.unit == "bytes" else _UNITS[self.unit].format(self.value)
        return f"| {self.row} | {self.title} | {self.legend} | {value} |"


@contextmanager
def prometheus_under_load(work: Path) -> Iterator[Prometheus]:
    """Prometheus beside a service with the embedded artifact that has answered, failed, refused and dropped requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFUSION_LINK_QUEUE_CAPACITY", "4")
        patch.setenv("DIFFUSION_LINK_MAX_FILES", "4")
        service = Server()
    try:
        port = urllib.parse.urlsplit(service.url).port
        assert port
        with scraping(work, port, DEPLOY / "no-key") as prometheus:
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


def _series(prometheus: Prometheus, expression: str) -> list[dict[str, Any]]:
    """The series of an expression, with Grafana's interval filled in as Grafana does for the last minutes."""
    return prometheus.query(expression.replace("$__rate_interval", "1m"))


def read_target(prometheus: Prometheus, panel: dict[str, Any], target: dict[str, str]) -> list[Reading]:
    """What one expression of a panel shows; a label of its legend that a series lacks is an error."""
    readings = []
    for series in _series(prometheus, target["expr"]):
        legend = target["legendFormat"]
        for name in re.findall(r"{{(\w+)}}", legend):
            legend = legend.replace(f"{{{{{name}}}}}", series["metric"][name])
        unit = panel["fieldConfig"]["defaults"]["unit"]
        readings.append(Reading(_row_of(panel), panel["title"], legend, float(series["value"][1]), unit))
    return readings


def _row_of(panel: dict[str, Any]) -> str:
    """The heading that a panel stands below."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    above = [row for row in dashboard["panels"] if row["type"] == "row" and row["gridPos"]["y"] < panel["gridPos"]["y"]]
    return str(above[-1]["title"])


def read_alert(prometheus: Prometheus, rule: dict[str, Any]) -> list[Reading]:
    """What an alert measures, without the threshold that it compares it with."""
    measured, sign, threshold = re.split(r" (>|==) ", rule["expr"], maxsplit=1)
    fires = f"fires at {sign} {threshold.split(' or ')[0]}"
    unit = "s" if "_seconds" in measured else "none"
    readings = []
    for series in _series(prometheus, measured):
        labels = [value for name, value in series["metric"].items() if name in ("route", "stage")]
        readings.append(Reading("Alerts", rule["alert"], ", ".join([*labels, fires]), float(series["value"][1]), unit))
    return readings


def main() -> None:
    """Print everything that is on the dashboard and in the alerts, also what has nothing to show."""
    lines = ["| row | panel | series | last value |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as work, prometheus_under_load(Path(work)) as prometheus:
        for panel in panels():
            for target in panel["targets"]:
                found = [str(reading) for reading in read_target(prometheus, panel, target)]
                lines += found or [f"| {_row_of(panel)} | {panel['title']} | {target['legendFormat']} | no data |"]
        for rule in alerts():
            found = [str(reading) for reading in read_alert(prometheus, rule)]
            lines += found or [f"| Alerts | {rule['alert']} | | no data |"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
