"""Load: closed loops of clients that wait for their answers, and open loops of arrivals that wait for nobody."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from benchmarks.arrivals import Arrivals, arrival_times_s
from benchmarks.clips import FORM_TYPE, Clip

STAGE_HEADERS = ("x-total-ms", "x-queue-ms", "x-decode-ms", "x-embed-ms", "x-bridge-ms", "x-write-ms")
_IDLE_S = 2.0
"""Less than uvicorn's 5 s, so that no request is sent on a connection that the server is just closing."""
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Times count from the start of its run."""

    scheduled_s: float
    """When it should have started: what a user waits from, however late the client was."""
    sent_s: float
    ended_s: float
    status: int
    """0: no answer."""
    fault: str
    """Type of the error; "mixed up" where the answer belongs to another clip."""
    headers: dict[str, str] = field(repr=False)

    @property
    def latency_ms(self) -> float:
        return 1_000 * (self.ended_s - self.scheduled_s)

    @property
    def good(self) -> bool:
        return self.status == 200 and not self.fault


@dataclass(frozen=True, slots=True)
class Run:
    """All requests of one run; figures come from those between `from_s` and `until_s`, after the warming up."""

    samples: list[Sample]
    from_s: float
    until_s: float

    def measured(self) -> list[Sample]:
        """Those that were due in the measured time."""
        return [sample for sample in self.samples if self.from_s <= sample.scheduled_s < self.until_s]

    def latencies_ms(self, status: int = 200) -> list[float]:
        """Latencies of the measured requests that were answered so."""
        return [sample.latency_ms for sample in self.measured() if sample.status == status]

    def per_s(self) -> float:
        """Right answers a second, by when they came: what was still under way at the end does not count."""
        done = sum(sample.good and self.from_s <= sample.ended_s < self.until_s for sample in self.samples)
        return done / (self.until_s - self.from_s)

    def lags_ms(self) -> list[float]:
        """How late the client itself was."""
        return [1_000 * (sample.sent_s - sample.scheduled_s) for sample in self.measured()]

    def stages_ms(self) -> dict[str, float]:
        """Means of the stage times in the headers of right answers; empty for a server that sends none."""
        good = [sample.headers for sample in self.measured() if sample.good]
        return {name: sum(float(headers[name]) for headers in good) / len(good) for name in (good[0] if good else ())}

    def faults(self, refusals: bool = False) -> Counter[str]:
        """What went wrong, and how often; a 429 with a Retry-After is no fault where `refusals` are expected."""
        return Counter(
            f"{sample.status} {sample.fault}"
            for sample in self.samples
            if not sample.good and not (refusals and sample.status == 429 and _says_when(sample))
        )


def _says_when(sample: Sample) -> bool:
    seconds = sample.headers.get("retry-after", "")
    return seconds.isdecimal() and int(seconds) >= 1


class Client:
    """Requests to one server; every right answer must have `stage_headers`."""

    def __init__(self, url: str, session: aiohttp.ClientSession, stage_headers: Sequence[str]) -> None:
        self._url, self._session, self._stage_headers = url, session, stage_headers
        self._started_s = time.perf_counter()

    def now_s(self) -> float:
        """Seconds since the client was made."""
        return time.perf_counter() - self._started_s

    async def caption(self, clip: Clip, scheduled_s: float) -> Sample:
        """Send a clip and compare its caption."""

        def fault_of(body: Any, headers: Mapping[str, str]) -> str:
            if body["results"][0].get("caption") != clip.caption:
                return "mixed up"
            return "".join(f"no {name} " for name in self._stage_headers if name not in headers).strip()

        form = {"content-type": FORM_TYPE}
        return await self._request(scheduled_s, fault_of, "POST", "/caption", data=clip.form, headers=form)

    async def live(self, scheduled_s: float) -> Sample:
        """Ask whether the server is alive."""
        return await self._request(scheduled_s, lambda _, __: "", "GET", "/health/live")

    async def read(self, path: str) -> str:
        """Read a page that must be there.

        Raises:
            aiohttp.ClientError: it is not.
        """
        async with self._session.get(self._url + path, raise_for_status=True) as response:
            return await response.text()

    async def _request(
        self, scheduled_s: float, fault_of: Callable[[Any, Mapping[str, str]], str], method: str, path: str, **content: Any
    ) -> Sample:
        sent_s, status, headers, fault = self.now_s(), 0, dict[str, str](), ""
        body: Any = None
        try:
            async with self._session.request(method, self._url + path, **content) as response:
                status = response.status
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            fault = type(error).__name__
        ended_s = self.now_s()
        if not fault:
            fault = fault_of(body, headers) if status == 200 else body["error"]["type"]
        kept = {name: headers[name] for name in (*self._stage_headers, "retry-after") if name in headers}
        return Sample(scheduled_s, sent_s, ended_s, status, fault, kept)


@asynccontextmanager
async def connected(url: str, stage_headers: Sequence[str] = STAGE_HEADERS) -> AsyncIterator[Client]:
    """A client without a limit of connections of its own."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
    timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Client(url, session, stage_headers)


async def closed_loop(client: Client, clips: Sequence[Clip], clients: int, warm_s: float, seconds: float) -> Run:
    """Let `clients` send clip after clip, each as soon as it has its answer."""
    samples: list[Sample] = []
    start_s = client.now_s()
    end_s = start_s + warm_s + seconds

    async def send(first: int) -> None:
        for index in count(first):
            now_s = client.now_s()
            if now_s >= end_s:
                return
            samples.append(await client.caption(clips[index % len(clips)], now_s))

    await asyncio.gather(*(send(first) for first in range(clients)))
    return Run(samples, start_s + warm_s, end_s)


async def closed_requests(client: Client, clips: Sequence[Clip], clients: int, requests: int) -> Run:
    """As `closed_loop`, for a number of requests instead of a time."""
    samples: list[Sample] = []
    numbers = iter(range(requests))
    start_s = client.now_s()

    async def send() -> None:
        for index in numbers:
            sample = await client.caption(clips[index % len(clips)], client.now_s())
            samples.append(sample)

    await asyncio.gather(*(send() for _ in range(clients)))
    return Run(samples, start_s, client.now_s())


async def open_loop(
    client: Client,
    send: Callable[[int, float], Coroutine[Any, Any, Sample]],
    rate_per_s: float,
    warm_s: float,
    seconds: float,
    arrivals: Arrivals,
    seed: int = 0,
) -> Run:
    """Start request after request at the planned times, whatever has become of the ones before."""
    start_s = client.now_s()
    requests: list[asyncio.Task[Sample]] = []
    for index, offset_s in enumerate(arrival_times_s(rate_per_s, warm_s + seconds, arrivals, seed)):
        scheduled_s = start_s + offset_s
        if (ahead_s := scheduled_s - client.now_s()) > 0:
            await asyncio.sleep(ahead_s)
        requests.append(asyncio.create_task(send(index, scheduled_s)))
    samples = list(await asyncio.gather(*requests))
    return Run(samples, start_s + warm_s, start_s + warm_s + seconds)
