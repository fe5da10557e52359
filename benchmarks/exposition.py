"""Sums of the service's histograms, read from GET /metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

_QUEUED = ("decode", "embed", "write")
_RUN = ("receive", "decode", "embed", "bridge", "write", "answer")
_PREFIX = "diffusion_link_"


class MetricMissingError(Exception):
    """The service does not show a metric that it should."""


def accounted(before: str, after: str, route: str = "/caption") -> float:
    """Time that the stages account for, waiting and running, as a share of the requests' time between two scrapes.

    All requests between them must have gone to `route`.

    Raises:
        MetricMissingError: a sum is missing, or no request came between.
    """
    request_s = _growth(before, after, "request_duration_seconds", "route", route)
    if request_s <= 0:
        raise MetricMissingError(f"no time was spent on requests to {route}")
    stages_s = sum(_growth(before, after, "stage_duration_seconds", "stage", stage) for stage in _RUN)
    stages_s += sum(_growth(before, after, "queue_duration_seconds", "stage", stage) for stage in _QUEUED)
    return stages_s / request_s


def _growth(before: str, after: str, name: str, label: str, value: str) -> float:
    return _sum(after, name, label, value) - _sum(before, name, label, value)


def _sum(text: str, name: str, label: str, value: str) -> float:
    for family in text_string_to_metric_families(text):
        if family.name == _PREFIX + name:
            for sample in family.samples:
                if sample.name == f"{family.name}_sum" and sample.labels == {label: value}:
                    return sample.value
    raise MetricMissingError(f'/metrics has no {_PREFIX}{name}_sum{{{label}="{value}"}}')
