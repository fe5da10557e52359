"""Load on the service: throughput, latency, overload, health and memory, as ratios that survive another machine.

    python -m benchmarks.serving --fake 20,2 --out DIR          against a model of known speed: 20 + 2n ms for a batch of n
    python -m benchmarks.serving --artifact --out DIR           with the embedded artifact (or --artifact DIRECTORY)
    python -m benchmarks.serving --artifact --device cuda --batch 64 --server-cores 8

The service, the same pipeline behind a plain handler, and a raw loop over it are processes of their own, pinned to the first
core; the client has the last. Every round runs every scenario, so that what disturbs the machine disturbs all of them alike.
Exit status: 0; 1 where something broke, or an answer was lost or wrong; with --gate also where a target was missed.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.chart import draw_chart
from benchmarks.clips import clip_of, long_wav, short_wavs
from benchmarks.exposition import MetricMissingError
from benchmarks.law import CostLaw
from benchmarks.load import STAGE_HEADERS, connected
from benchmarks.report import environment, format_results, write_json
from benchmarks.results import Results, Target
from benchmarks.scenarios import (
    LOADS,
    Bench,
    LoadError,
    Plan,
    lone,
    memory,
    mixed,
    open_load,
    overload,
    saturation,
    side_by_side,
)
from benchmarks.servers import Cores, ProcessError, running
from benchmarks.stats import percentile
from benchmarks.subject import Subject

_EMBEDDED = "embedded"
_BATCH, _QUICK_BATCH = 8, 4
_STARTED_S = time.monotonic()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = _parse(arguments)
    # So that a program that is told to stop still stops the processes that it started.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    subject = Subject(
        law=options.fake,
        artifact=None if options.artifact in (None, _EMBEDDED) else options.artifact,
        device=options.device,
        batch=options.batch or (_QUICK_BATCH if options.quick else _BATCH),
    )
    try:
        cores = Cores(options.server_cores)
        with tempfile.TemporaryDirectory() as logs:
            results, facts = _measure(subject, _plan(options), cores, Path(logs))
    except (ProcessError, LoadError, MetricMissingError, aiohttp.ClientError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(format_results(results))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        name = "serving-fake" if options.fake else "serving"
        write_json(options.out / f"{name}.json", results, **facts)
        draw_chart(options.out / f"{name}.png", results.points, _title(facts))
        print(f"written: {options.out / name}.json and .png")
    return int(bool(results.faults) or (options.gate and bool(results.missed)))


def _measure(subject: Subject, plan: Plan, cores: Cores, logs: Path) -> tuple[Results, dict[str, Any]]:
    results = Results()
    _tell(f"starting service, plain handler and raw loop on cores {cores.server}, client on {cores.client}")
    with running(("service", "plain", "raw"), subject, cores, logs) as (service, plain, raw):
        *captions, long_caption = raw.order("captions")
        shorts = [clip_of(*pair) for pair in zip(short_wavs(), captions, strict=True)]
        bench = Bench(subject, plan, results, service, plain, raw, shorts, clip_of(long_wav(), long_caption))
        model = asyncio.run(_first_request(bench))
        if plan.memory_requests:
            _tell(f"memory: {plan.memory_requests} requests")
            asyncio.run(memory(bench))
        for number in range(plan.repeats):
            asyncio.run(_round(bench, number))
    results.add("p99 of /health/live under load", percentile(bench.health_ms, 99), "ms", Target(high=50))
    return results, {
        "environment": environment(),
        "subject": asdict(subject) | {"queue_capacity": subject.queue_capacity, **model},
        "plan": asdict(plan),
        "cores": {"server": cores.server, "client": cores.client},
        "wall_s": round(time.monotonic() - _STARTED_S, 1),
    }


async def _first_request(bench: Bench) -> dict[str, Any]:
    """See that both servers answer what a direct call answers, before anything is measured; returns what is served."""
    for process, headers in ((bench.service, STAGE_HEADERS), (bench.plain, ())):
        async with connected(process.url, headers) as client:
            for clip in bench.shorts:
                sample = await client.caption(clip, client.now_s())
                if not sample.good:
                    raise ProcessError(f"the process {process.kind} answered {sample.status} {sample.fault}")
    async with connected(bench.service.url) as client:
        (model,) = json.loads(await client.read("/models"))["models"]
    return {"model": model["name"], "device_name": model["device"]}


async def _round(bench: Bench, number: int) -> None:
    run = await saturation(bench)
    peak_per_s = run.per_s()
    _tell(f"round {number + 1} of {bench.plan.repeats}: peak {peak_per_s:.1f} req/s")
    await side_by_side(bench, run)
    added_ms = await lone(bench)
    for load in LOADS:
        await open_load(bench, load, peak_per_s, seed=number)
    await overload(bench, peak_per_s, added_ms, seed=number)
    if bench.law is None:
        await mixed(bench)


def _plan(options: argparse.Namespace) -> Plan:
    real = options.fake is None
    requests: int | None = options.memory_requests
    if options.quick:
        return Plan(1, 0.3, 1.0, 1.0, 0.5, 1.0, (40 if real else 0) if requests is None else requests, options.arrivals)
    if real:
        return Plan(options.repeats, 1.5, 8.0, 10.0, 4.0, 10.0, 5_000 if requests is None else requests, options.arrivals)
    return Plan(options.repeats, 1.0, 6.0, 6.0, 3.0, 0.0, requests or 0, options.arrivals)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fake", type=_law, metavar="A_MS,B_MS", help="a model whose batch of n takes A + B·n ms")
    what.add_argument(
        "--artifact", nargs="?", const=_EMBEDDED, metavar="DIR", help="an artifact; the embedded one without DIR"
    )
    parser.add_argument("--device", default="cpu", help="of the artifact: cpu, cuda, mps (default cpu)")
    parser.add_argument("--batch", type=_count, help=f"windows, and captions, of a full batch (default {_BATCH})")
    parser.add_argument("--server-cores", type=_count, default=1, help="cores of the server (default 1)")
    parser.add_argument("--arrivals", choices=("poisson", "constant"), default="poisson", help="of the open loops")
    parser.add_argument("--repeats", type=_count, default=5, help="rounds (default 5)")
    parser.add_argument("--memory-requests", type=int, help="requests to measure memory by (default 5000; 0: none)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of less than 40 s; its figures mean nothing")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write JSON and PNG")
    return parser.parse_args(arguments)


def _law(text: str) -> str:
    try:
        return str(CostLaw.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no A_MS,B_MS: {error}") from error


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _title(facts: dict[str, Any]) -> str:
    subject = facts["subject"]
    return f"POST /caption: {subject['model']} on {subject['device_name']}, batches of {subject['batch']}"


def _tell(text: str) -> None:
    print(f"{time.monotonic() - _STARTED_S:5.0f} s  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
