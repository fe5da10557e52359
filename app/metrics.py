"""Metrics: what Prometheus scrapes; a registry of its own for each app, labels from closed sets only."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.logs import Trace
from app.stage import BatchReport, Stage

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The instruments of one app."""

    def __init__(self) -> None:
        """Make all instruments, so that they are scraped as zero before they are used."""
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "diffusion_link_requests",
            "Requests, by route template, status and error type; 499: the client hung up.",
            ("route", "status", "error_type"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "diffusion_link_request_seconds",
            "From a request's headers to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "diffusion_link_stage_seconds",
            "Of one request in decode, embed or write, by part: queue (waiting) or run.",
            ("stage", "part"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_size = Histogram(
            "diffusion_link_batch_size", "Items of one batch.", ("stage",), buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "diffusion_link_batch_seconds", "Of one batch on the device.", ("stage",), buckets=_SECONDS, registry=registry
        )
        self._failed_batches = Counter(
            "diffusion_link_failed_batches", "Batches that raised an error.", ("stage",), registry=registry
        )
        self._queue_depth = Gauge(
            "diffusion_link_queue_depth", "What waits: windows (embed), tokens (write).", ("stage",), registry=registry
        )
        self._in_flight = Gauge(
            "diffusion_link_in_flight", "Files, and text requests, from upload to answer.", registry=registry
        )
        self._audio_seconds = Counter("diffusion_link_audio_seconds", "Of sound in answered files.", registry=registry)

    def observe_request(self, trace: Trace, route: str) -> None:
        """Count one request that has ended."""
        self._requests.labels(route, str(trace.status), trace.error_type).inc()
        self._request_seconds.labels(route).observe(trace.total_s)
        if trace.times is not None:
            for part, seconds in (("queue", trace.times.queue_s), ("run", trace.times.run_s)):
                for stage, value in seconds.items():
                    self._stage_seconds.labels(stage, part).observe(value)

    def observe_batch(self, report: BatchReport) -> None:
        """Count one call of a stage's function; may be called from any thread."""
        self._batch_size.labels(report.stage).observe(report.size)
        self._batch_seconds.labels(report.stage).observe(report.run_s)
        if report.failed:
            self._failed_batches.labels(report.stage).inc()

    def add_audio(self, duration_s: float) -> None:
        """Count seconds of sound that were answered."""
        self._audio_seconds.inc(duration_s)

    def watch_queue(self, stage: Stage[Any, Any]) -> None:
        """Read a stage's queue whenever Prometheus asks."""
        self._queue_depth.labels(stage.name).set_function(lambda: stage.queued_cost)

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Read the number of files in the service whenever Prometheus asks."""
        self._in_flight.set_function(count)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
