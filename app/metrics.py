"""Metrics: what Prometheus scrapes; a registry of its own for each app, labels from closed sets only.

Names follow Prometheus' rules (https://prometheus.io/docs/practices/naming/): base units, `_total` for counters.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.captioning import CaptionedClip, EmbeddedClip
from app.logs import Trace
from app.stage import Stage
from app.stage_observer import BatchReport, DropReason, StageObserver
from app.times import QUEUES, STAGES
from models.pipeline import Pipeline

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PREFIX = "diffusion_link"
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
_SIZES = tuple(2**power for power in range(9))
_COSTS = tuple(2**power for power in range(14))
"""Up to the largest batches of a GPU: 256 captions, of 32 tokens each."""


class Metrics(StageObserver):
    """The instruments of one app; may be told things from any thread."""

    def __init__(self) -> None:
        """Make all instruments, so that they are scraped as zero before they are used."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter(
            "requests",
            "Requests, by route template, status and error type; 499: the client hung up.",
            "route",
            "status",
            "error_type",
        )
        self._request_seconds = self._seconds("request", "From a request's headers to its answer.", "route")
        self._stage_seconds = self._seconds("stage", "Of one request in a stage; embed is without bridge.", "stage")
        self._queue_seconds = self._seconds("queue", "Of one request waiting for a stage.", "stage")
        self._batch_seconds = self._seconds("batch", "Of one batch on the device.", "stage")
        self._batch_size = self._histogram("batch_size", "Items of one batch.", _SIZES)
        self._batch_cost = self._histogram("batch_cost", "Cost of one batch: windows (embed), tokens (write).", _COSTS)
        self._failed_batches = self._counter("failed_batches", "Batches that raised an error.", "stage")
        self._out_of_memory = self._counter("out_of_memory", "Batches that were too large for the device.", "stage")
        self._cost_limit = self._gauge("batch_cost_limit", "What a batch may cost; halved by each lack of memory.", "stage")
        self._queue_depth = self._gauge("queue_depth", "Cost of what waits: windows (embed), tokens (write).", "stage")
        self._dropped = self._counter("dropped_items", "Items that were not run to their end.", "stage", "reason")
        self._in_flight = self._gauge("in_flight", "Files, and text requests, from upload to answer.")
        self._audio_seconds = self._counter("audio_seconds", "Seconds of sound in answered files.")
        self._tokens = self._counter("generated_tokens", "Tokens of the captions that were answered.")
        self._memory = self._gauge("device_memory_bytes", "Memory of the device, where torch counts it.", "kind")
        self._model = Info(f"{_PREFIX}_model", "The artifact that is served.", registry=self._registry)
        for stage in STAGES:
            self._stage_seconds.labels(stage)
        for stage in QUEUES:
            self._queue_seconds.labels(stage)

    def observe_request(self, trace: Trace, route: str) -> None:
        """Count one request that has ended."""
        self._requests.labels(route, str(trace.status), trace.error_type).inc()
        self._request_seconds.labels(route).observe(trace.total_s)
        if trace.times is not None:
            for stage, seconds in trace.times.queue_s.items():
                self._queue_seconds.labels(stage).observe(seconds)
            for stage, seconds in trace.times.run_s.items():
                self._stage_seconds.labels(stage).observe(seconds)

    def on_batch(self, report: BatchReport) -> None:
        """Count one call of a stage's function."""
        self._batch_size.labels(report.stage).observe(report.size)
        self._batch_cost.labels(report.stage).observe(report.cost)
        self._batch_seconds.labels(report.stage).observe(report.run_s)
        if report.outcome == "failed":
            self._failed_batches.labels(report.stage).inc()
        elif report.outcome == "out_of_memory":
            self._out_of_memory.labels(report.stage).inc()

    def on_drop(self, stage: str, reason: DropReason, count: int) -> None:
        """Count items that were not run to their end."""
        self._dropped.labels(stage, reason).inc(count)

    def add_answers(self, clips: Sequence[CaptionedClip | EmbeddedClip]) -> None:
        """Count the sound of answered files, and the tokens written about it."""
        for clip in clips:
            self._audio_seconds.inc(clip.extent.duration_s)
            if isinstance(clip, CaptionedClip):
                captions = [*clip.candidates, *(caption for entry in clip.timeline or [] for caption in entry)]
                self._tokens.inc(sum(caption.tokens for caption in captions))

    def watch_stage(self, stage: Stage[Any, Any]) -> None:
        """Read a stage's queue and budget whenever Prometheus asks."""
        self._queue_depth.labels(stage.name).set_function(lambda: stage.queued_cost)
        self._cost_limit.labels(stage.name).set_function(lambda: stage.max_batch_cost)
        self._failed_batches.labels(stage.name)
        self._out_of_memory.labels(stage.name)

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Read the number of files in the service whenever Prometheus asks."""
        self._in_flight.set_function(count)

    def watch_pipeline(self, pipeline: Pipeline) -> None:
        """Name what is served, and read the device's memory whenever Prometheus asks."""
        manifest, parts = pipeline.manifest, pipeline.describe()
        classes = {part: str(parts[part]["class"]) for part in ("encoder", "bridge", "decoder")}
        self._model.info({"name": manifest.name, "version": manifest.version, "device": pipeline.device_name} | classes)
        for kind in pipeline.memory:
            self._memory.labels(kind).set_function(partial(_memory_of, pipeline, kind))

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[int]) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, ("stage",), buckets=buckets, registry=self._registry)

    def _seconds(self, name: str, text: str, label: str) -> Histogram:
        text = f"Seconds {text[0].lower()}{text[1:]}"
        return Histogram(f"{_PREFIX}_{name}_duration_seconds", text, (label,), buckets=_SECONDS, registry=self._registry)


def _memory_of(pipeline: Pipeline, kind: str) -> float:
    return float(pipeline.memory[kind])
