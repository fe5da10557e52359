"""What is measured: one function a scenario. Each is run once in every round, so that repeats are interleaved."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from benchmarks.arrivals import Arrivals
from benchmarks.clips import Clip
from benchmarks.exposition import accounted
from benchmarks.law import CostLaw
from benchmarks.load import Client, Run, closed_loop, closed_requests, connected, open_loop
from benchmarks.results import LoadPoint, Results, Target
from benchmarks.servers import Process
from benchmarks.stats import percentile
from benchmarks.subject import Subject

LOADS = (0.5, 0.7, 0.9)
OVERLOAD = 2.0
_CLIENTS_A_PLACE = 4
"""Closed-loop clients for each place of a batch: one batch runs and one waits in either stage, so that none runs short."""
_POLLS_PER_S = 10.0
_SHORT_CLIENTS, _LONG_CLIENTS = 8, 2
"""Of the mixed load."""


class LoadError(Exception):
    """A run of which no figure can be made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often."""

    repeats: int
    warm_s: float
    closed_s: float
    open_s: float
    lone_s: float
    mixed_s: float
    memory_requests: int
    arrivals: Arrivals


@dataclass(slots=True)
class Bench:
    """What the scenarios work with."""

    subject: Subject
    plan: Plan
    results: Results
    service: Process
    plain: Process
    raw: Process
    shorts: list[Clip]
    long: Clip
    health_ms: list[float] = field(default_factory=list)

    @property
    def clients(self) -> int:
        return _CLIENTS_A_PLACE * self.subject.batch

    @property
    def law(self) -> CostLaw | None:
        return CostLaw.parse(self.subject.law) if self.subject.law is not None else None

    def note(self, where: str, run: Run, refusals: bool = False) -> Run:
        """Keep what went wrong in a run.

        Raises:
            LoadError: nothing went right.
        """
        faults = run.faults(refusals)
        if not any(sample.good for sample in run.samples):
            raise LoadError(f"{where}: none of {len(run.samples)} requests had a right answer: {dict(faults)}")
        self.results.add_faults(where, len(run.samples), faults)
        return run

    async def watched(self, client: Client, seconds: float, load: Coroutine[Any, Any, Run]) -> Run:
        """Ask for GET /health/live every 100 ms while a load runs."""

        def ask(_: int, scheduled_s: float) -> Coroutine[Any, Any, Any]:
            return client.live(scheduled_s)

        run, polls = await asyncio.gather(load, open_loop(client, ask, _POLLS_PER_S, 0.0, seconds, "constant"))
        self.note("health", polls)
        self.health_ms += polls.latencies_ms()
        return run


async def saturation(bench: Bench) -> Run:
    """Find the peak: more clients than the device can serve, each sending its next clip when it has its answer."""
    plan, results = bench.plan, bench.results
    async with connected(bench.service.url) as client:
        before = await client.read("/metrics")
        load = closed_loop(client, bench.shorts, bench.clients, plan.warm_s, plan.closed_s)
        run = bench.note("saturation", await bench.watched(client, plan.warm_s + plan.closed_s, load))
        stages = accounted(before, await client.read("/metrics"))
    results.add("peak throughput", run.per_s(), "req/s")
    if bench.law is not None:
        results.add("peak ÷ computed ideal", run.per_s() / bench.law.ideal_per_s(bench.subject.batch), "", Target(low=0.95))
    else:
        raw = bench.raw.order("loop", seconds=plan.closed_s)
        results.add("raw loop", raw, "req/s")
        results.add("peak ÷ raw loop", run.per_s() / raw, "", Target(low=0.9))
    results.add("/metrics: time of stages ÷ of requests", stages, "", Target(0.95, 1.05))
    return run


async def side_by_side(bench: Bench, service: Run) -> None:
    """Give the plain handler the load that the service had at its peak."""
    plan, results = bench.plan, bench.results
    async with connected(bench.plain.url, ()) as client:
        load = closed_loop(client, bench.shorts, bench.clients, plan.warm_s, plan.closed_s)
        plain = bench.note("plain handler", await load)
    p99_ms, plain_p99_ms = (percentile(run.latencies_ms(), 99) for run in (service, plain))
    results.add("plain handler: throughput", plain.per_s(), "req/s")
    results.add("peak ÷ plain handler's throughput", service.per_s() / plain.per_s())
    results.add(f"p99 with {bench.clients} clients", p99_ms, "ms")
    results.add(f"plain handler: p99 with {bench.clients} clients", plain_p99_ms, "ms")
    results.add("p99 ÷ plain handler's", p99_ms / plain_p99_ms)


async def lone(bench: Bench) -> float:
    """Send one request at a time; returns the milliseconds that the service adds to the device's time."""
    plan, results = bench.plan, bench.results
    async with connected(bench.service.url) as client:
        run = bench.note("lone", await closed_loop(client, bench.shorts, 1, plan.warm_s / 2, plan.lone_s))
    p50_ms, p99_ms = percentile(run.latencies_ms(), 50), percentile(run.latencies_ms(), 99)
    results.points.append(LoadPoint("service", 0.0, p50_ms, p99_ms, run.stages_ms()))
    results.add("lone request: p50", p50_ms, "ms")
    async with connected(bench.plain.url, ()) as client:
        plain = bench.note("lone, plain", await closed_loop(client, bench.shorts, 1, plan.warm_s / 2, plan.lone_s))
    plain_ms = percentile(plain.latencies_ms(), 50)
    results.add("lone request: p50 − plain handler's", p50_ms - plain_ms, "ms", Target(high=3))
    if bench.law is not None:
        results.add("lone request: p50 − the law's time", p50_ms - bench.law.lone_ms, "ms", Target(high=3))
        return p50_ms - bench.law.lone_ms
    direct = bench.raw.order("lone", seconds=plan.lone_s)
    direct_ms, decode_ms = percentile(direct["pipeline_ms"], 50), percentile(direct["decode_ms"], 50)
    results.add("direct pipeline call: p50", direct_ms, "ms")
    results.add("direct decoding: p50", decode_ms, "ms")
    results.add("lone request: p50 ÷ direct call's", p50_ms / direct_ms)
    results.add("lone request: p50 − 1.05 × direct call's", p50_ms - 1.05 * direct_ms, "ms", Target(high=3))
    return p50_ms - direct_ms


async def _arrivals(bench: Bench, load: float, rate_per_s: float, warm_s: float, seconds: float, seed: int) -> Run:
    async with connected(bench.service.url) as client:

        def send(index: int, scheduled_s: float) -> Coroutine[Any, Any, Any]:
            return client.caption(bench.shorts[index % len(bench.shorts)], scheduled_s)

        requests = open_loop(client, send, rate_per_s, warm_s, seconds, bench.plan.arrivals, seed)
        run = await bench.watched(client, warm_s + seconds, requests)
    p50_ms, p99_ms = percentile(run.latencies_ms(), 50), percentile(run.latencies_ms(), 99)
    bench.results.points.append(LoadPoint("service", load, p50_ms, p99_ms, run.stages_ms()))
    bench.results.add("client's own lateness: p99, open loop", percentile(run.lags_ms(), 99), "ms", Target(high=10))
    return run


async def open_load(bench: Bench, load: float, peak_per_s: float, seed: int) -> None:
    """Let requests arrive at a share of the peak, however long the answers take."""
    run = await _arrivals(bench, load, load * peak_per_s, bench.plan.warm_s, bench.plan.open_s, seed)
    bench.note(f"open loop at {load:.0%}", run)
    p50_ms, p99_ms = percentile(run.latencies_ms(), 50), percentile(run.latencies_ms(), 99)
    target = Target(high=3) if bench.law is not None and load == 0.7 else None
    bench.results.add(f"open loop at {load:.0%}: p50", p50_ms, "ms")
    bench.results.add(f"open loop at {load:.0%}: p99", p99_ms, "ms")
    bench.results.add(f"open loop at {load:.0%}: p99 ÷ p50", p99_ms / p50_ms, "", target)


def accepted_bound_ms(capacity: int, batch: int, peak_per_s: float, added_ms: float) -> float:
    """Longest time that an accepted request should take.

    It is accepted only while fewer than `capacity` requests are in the service, from upload to answer, and those are served
    at the peak rate, so it is through after capacity ÷ peak, itself included. It may have come just after a batch was formed
    with places free: one turn of the two stages, batch ÷ peak, that it gains nothing from. Receiving, decoding and answering
    take what a lone request shows beyond the device's time.
    """
    return 1_000 * (capacity + batch) / peak_per_s + added_ms


async def overload(bench: Bench, peak_per_s: float, added_ms: float, seed: int) -> None:
    """Let twice as many requests arrive as can be served."""
    capacity, results = bench.subject.queue_capacity, bench.results
    # The queue fills at the rate of arrivals less that of answers: capacity ÷ peak. Only then has the load settled.
    warm_s = bench.plan.warm_s + capacity / ((OVERLOAD - 1) * peak_per_s)
    run = await _arrivals(bench, OVERLOAD, OVERLOAD * peak_per_s, warm_s, bench.plan.open_s, seed)
    bench.note("overload", run, refusals=True)
    refused_ms, accepted_p99_ms = run.latencies_ms(429), percentile(run.latencies_ms(), 99)
    if not refused_ms:
        raise LoadError("overload: twice the peak arrived, and nothing was refused")
    bound_ms = accepted_bound_ms(capacity, bench.subject.batch, peak_per_s, added_ms)

    def asked(low: float | None = None, high: float | None = None) -> Target | None:
        return Target(low, high) if bench.law is not None else None

    results.add("overload ×2: goodput ÷ peak", run.per_s() / peak_per_s, "", asked(low=0.95))
    not_429 = sum(sample.status not in (200, 429) for sample in run.samples)
    results.add("overload ×2: neither answer nor 429", not_429, "", Target(high=0))
    results.add("overload ×2: share refused", len(refused_ms) / len(run.measured()))
    results.add("overload ×2: p99 of refusals", percentile(refused_ms, 99), "ms")
    results.add("overload ×2: slowest refusal", max(refused_ms), "ms", asked(high=50))
    results.add("overload ×2: p99 of accepted", accepted_p99_ms, "ms")
    results.add("overload ×2: p99 of accepted ÷ bound", accepted_p99_ms / bound_ms, "", asked(high=1))


async def mixed(bench: Bench) -> None:
    """Send short clips alone, then beside long ones."""
    plan, results = bench.plan, bench.results
    async with connected(bench.service.url) as client:

        def shorts() -> Coroutine[Any, Any, Run]:
            return closed_loop(client, bench.shorts, _SHORT_CLIENTS, plan.warm_s, plan.mixed_s)

        alone = bench.note("short clips alone", await shorts())
        load = closed_loop(client, [bench.long], _LONG_CLIENTS, plan.warm_s, plan.mixed_s)
        beside, long = await asyncio.gather(shorts(), load)
    bench.note("short clips beside long ones", beside)
    bench.note("long clips", long)
    p99_ms, beside_p99_ms = (percentile(run.latencies_ms(), 99) for run in (alone, beside))
    results.add(f"{_SHORT_CLIENTS} clients of 1 s clips alone: p99", p99_ms, "ms")
    results.add(f"beside {_LONG_CLIENTS} clients of 60 s clips: p99", beside_p99_ms, "ms")
    results.add("1 s clips: p99 beside ÷ alone", beside_p99_ms / p99_ms, "", Target(high=3))
    results.add("60 s clips: p50", percentile((sample.latency_ms for sample in long.samples if sample.good), 50), "ms")


async def memory(bench: Bench) -> None:
    """See what the service has in RAM after a tenth of the requests, and after all of them; it is fresh before."""
    first = bench.plan.memory_requests // 10
    resident: list[int] = []
    async with connected(bench.service.url) as client:
        for total, requests in ((first, first), (bench.plan.memory_requests, bench.plan.memory_requests - first)):
            bench.note("memory", await closed_requests(client, bench.shorts, bench.clients, requests))
            resident.append(bench.service.resident_bytes())
            bench.results.add(f"resident memory after {total} requests", resident[-1] / 2**20, "MiB")
    bench.results.add("resident memory: last ÷ first", resident[1] / resident[0], "", Target(high=1.05))
