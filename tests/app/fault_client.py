"""What the tests of faults do to a server: start it, hold its batches, and speak HTTP with it over plain sockets."""

import http.client
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.app.fault_server import caption_of, clip_bytes, run_forked

WAIT_S = 30.0
"""For what happens at once unless something is broken."""
SOON_S = 5.0
"""For what happens at once and is timed: far less than what it must not wait for."""
THREADS = 40
COSTS = {"embed": 1, "write": 32}
"""What a short clip costs a stage."""
_START_S = 120.0

_FORKS = multiprocessing.get_context("forkserver")
# Imported once, in the process that servers are forked from: what they import takes seconds.
_FORKS.set_forkserver_preload(["tests.app.fault_server"])


@dataclass(frozen=True)
class Reply:
    """One HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    took_s: float

    @classmethod
    def read(cls, connection: socket.socket) -> "Reply":
        """Read one response from a connection."""
        started_s = time.monotonic()
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            return cls(response.status, response.msg, response.read(), time.monotonic() - started_s)
        finally:
            response.close()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error_type(self) -> str:
        """The error's type; the body has the one shape."""
        (error,) = self.json.values()
        assert error.keys() == {"type", "message", "request_id"}
        assert error["request_id"] == self.headers["x-request-id"]
        return str(error["type"])

    def captions(self) -> list[str]:
        assert self.status == 200, self.body
        return [result["caption"] for result in self.json["results"]]


def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> None:
    """Poll until something is so."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.01)


class Server:
    """A server process: forked from one that has all imports, or the real program (`python -m`)."""

    def __init__(
        self, work: Path, *, batch_s: float = 0.002, concurrent: bool = False, program: bool = False, **settings: Any
    ) -> None:
        self.work = work
        self._log = work / "log"
        work.mkdir(parents=True, exist_ok=True)
        arguments = ["--settings", json.dumps(settings), "--work", str(work), "--batch-s", str(batch_s)]
        arguments += ["--concurrent"] if concurrent else []
        self._program: subprocess.Popen[bytes] | None = None
        if program:
            command = [sys.executable, "-m", "tests.app.fault_server", *arguments]
            with self._log.open("wb") as log:
                self._program = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
            self.pid = self._program.pid
        else:
            self._fork = _FORKS.Process(target=run_forked, args=(arguments, self._log), daemon=True)
            self._fork.start()
            self.pid = self._fork.pid or 0
        self._pool = ThreadPoolExecutor(THREADS)

    def ready(self) -> "Server":
        """Wait until it answers."""
        until(lambda: re.search(r"Ready: \S+:\d+ ", self.log()) or self.exit_status() is not None, "it is ready", _START_S)
        found = re.search(r"Ready: http://127\.0\.0\.1:(\d+) ", self.log())
        assert found, self.log()
        self.address = ("127.0.0.1", int(found[1]))
        return self

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def exit_status(self) -> int | None:
        return self._program.poll() if self._program else self._fork.exitcode

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self) -> int:
        """Kill it unless it has ended, and return its exit status."""
        self.release()
        if self.exit_status() is None:
            self.signal(signal.SIGKILL)
        until(lambda: self.exit_status() is not None, "the server has ended")
        self._pool.shutdown()
        status = self.exit_status()
        assert status is not None
        if not self._program:
            self._fork.close()
        return status

    # ── batches ────────────────────────────────────────────────────────────────────────────────────

    def hold(self, stage: str) -> None:
        """Keep the stage's batches from doing anything, from the next one on."""
        (self.work / f"hold-{stage}").touch()

    def release(self) -> None:
        for stage in ("embed", "write"):
            (self.work / f"hold-{stage}").unlink(missing_ok=True)

    def journal(self, stage: str) -> list[list[int]]:
        """The clips of each batch that the stage has begun."""
        path = self.work / "journal"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [entry["clips"] for entry in map(json.loads, lines) if entry["stage"] == stage]

    def has_begun(self, clip: int, stage: str = "embed") -> bool:
        return any(clip in batch for batch in self.journal(stage))

    # ── HTTP ───────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=WAIT_S)

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.address, timeout=WAIT_S)
        started_s = time.monotonic()
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.msg, response.read(), time.monotonic() - started_s)
        finally:
            connection.close()

    def caption(self, *clips: int, seed: int = 0, windows: int = 1, **headers: str) -> Reply:
        """Caption clips, in one form; header names are written with underscores."""
        body, kind = form([clip_bytes(clip, windows) for clip in clips])
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", f"/caption?seed={seed}", body, {"content-type": kind, **named})

    def later(self, *clips: int, **settings: Any) -> "Future[Reply]":
        """Caption clips in another thread."""
        return self._pool.submit(self.caption, *clips, **settings)

    def begin(self, *clips: int, **settings: Any) -> "Future[Reply]":
        """Caption a clip in another thread, and return when its batch has begun."""
        reply = self.later(*clips, **settings)
        until(lambda: self.has_begun(clips[0]), f"clip {clips[0]} has begun")
        return reply

    def check(self, *clips: int, seed: int = 0, windows: int = 1) -> None:
        """Caption clips, and check the answer."""
        assert_right(self.caption(*clips, seed=seed, windows=windows), *clips, seed=seed, windows=windows)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have a name and labels."""
        text = self.request("GET", "/metrics").body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        assert any(name.startswith(family.name) for family in text_string_to_metric_families(text)), f"no metric {name}"
        return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())

    def until_in_flight(self, count: int) -> None:
        """Wait until the service holds so many files and text requests."""
        until(lambda: self.metric("diffusion_link_in_flight") == count, f"{count} in flight")

    def check_whole_again(self) -> None:
        """Nothing may be left of a test: no place taken, nothing queued, and answers are right."""
        self.release()
        self.until_in_flight(0)
        assert self.metric("diffusion_link_queue_depth") == 0
        self.check(1)

    def until_queued(self, stage: str, count: int) -> None:
        """Wait until so many short clips wait for a stage."""
        cost = count * COSTS[stage]
        until(lambda: self.metric("diffusion_link_queue_depth", stage=stage) == cost, f"{count} wait for {stage}")

    def live(self) -> Reply:
        return self.request("GET", "/health/live")


@contextmanager
def serving(work: Path, **settings: Any) -> Iterator[Server]:
    """A server, killed at the end unless it has ended."""
    server = Server(work, **settings)
    try:
        yield server.ready()
    finally:
        server.stop()


def assert_right(reply: Reply, *clips: int, seed: int = 0, windows: int = 1) -> None:
    """Check that a reply is the one for these clips."""
    assert reply.captions() == [caption_of(clip, seed, windows) for clip in clips]


def form(files: Sequence[bytes]) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    parts = [
        b'--limit\r\nContent-Disposition: form-data; name="file"; filename="%d"\r\n\r\n%b\r\n' % (number, data)
        for number, data in enumerate(files)
    ]
    return b"".join([*parts, b"--limit--\r\n"]), "multipart/form-data; boundary=limit"


def head(path: str = "/caption", **headers: str | int) -> bytes:
    """The head of a POST of raw audio; header names are written with underscores."""
    named = {"host": "test", "content_type": "audio/flac"} | headers
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items()]
    return f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()
