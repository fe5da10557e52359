import re

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from benchmarks.exposition import MetricMissingError, accounted

_STAGES = ("receive", "decode", "embed", "bridge", "write", "answer")
_QUEUES = ("decode", "embed", "write")


class Service:
    """Shows the histograms of the service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._histograms = {
            kind: Histogram(f"diffusion_link_{kind}_duration_seconds", "Time.", (label,), registry=self._registry)
            for kind, label in (("request", "route"), ("stage", "stage"), ("queue", "stage"))
        }

    def observe(self, kind: str, label: str, seconds: float) -> None:
        self._histograms[kind].labels(label).observe(seconds)

    def text(self) -> str:
        return generate_latest(self._registry).decode()


@pytest.fixture
def service() -> Service:
    service = Service()
    for stage in _STAGES:
        service.observe("stage", stage, 5.0)
    for stage in _QUEUES:
        service.observe("queue", stage, 5.0)
    service.observe("request", "/caption", 100.0)
    return service


def test_what_stages_account_for_between_two_scrapes(service: Service) -> None:
    before = service.text()
    for stage in _STAGES:
        service.observe("stage", stage, 0.1)
    for stage in _QUEUES:
        service.observe("queue", stage, 0.1)
    service.observe("request", "/caption", 1.0)
    service.observe("request", "/health/live", 50.0)
    assert accounted(before, service.text()) == pytest.approx(0.9)


def test_what_is_missing_is_said(service: Service) -> None:
    before, gone = service.text(), 'queue_duration_seconds_sum{stage="embed"}'
    service.observe("request", "/caption", 1.0)
    lines = [line for line in service.text().splitlines() if gone not in line]
    with pytest.raises(MetricMissingError, match=re.escape(gone)):
        accounted(before, "\n".join(lines) + "\n")


def test_no_request_accounts_for_nothing(service: Service) -> None:
    with pytest.raises(MetricMissingError, match="no time"):
        accounted(service.text(), service.text())
