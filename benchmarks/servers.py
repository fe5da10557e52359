"""Start and stop the processes that are measured, each pinned to the cores of the server."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from benchmarks.subject import Subject

Kind = Literal["service", "plain", "raw"]

_START_S = 120.0
_STOP_S = 60.0
_LOG_TAIL_CHARS = 2_000


class ProcessError(Exception):
    """A process did not start, died, or did not stop as it should."""


class Cores:
    """Which cores belong to whom: the server gets the first ones, the client the last."""

    def __init__(self, server_count: int) -> None:
        """Divide the cores that this process may use, and pin this process to the client's.

        Raises:
            ProcessError: there are not enough of them.
        """
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) <= server_count:
            raise ProcessError(f"{len(allowed)} cores are too few for {server_count} of the server and one of the client")
        self.server, self.client = allowed[:server_count], allowed[-1:]
        os.sched_setaffinity(0, self.client)


class Process:
    """A Python module of this folder, running; it has said that it is ready."""

    def __init__(self, kind: Kind, subject: Subject, cores: Cores, log: Path) -> None:
        """Start it, without waiting.

        Raises:
            ProcessError: it cannot be started.
        """
        self.kind: Kind = kind
        self._log = log
        # A child inherits the cores of its parent, from its first instruction on.
        os.sched_setaffinity(0, cores.server)
        try:
            with log.open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", f"benchmarks.{kind}", subject.to_command_line()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    # Settings of the service come from the benchmark, not from the user's environment.
                    env={name: value for name, value in os.environ.items() if not name.startswith("DIFFUSION_LINK_")},
                )
        finally:
            os.sched_setaffinity(0, cores.client)
        self.pid = self._process.pid
        self.url = ""

    def wait_until_ready(self) -> None:
        """Wait for the line that says so, and note the address in it.

        Raises:
            ProcessError: it ended, or said something else.
        """
        line = self.read_line(_START_S)
        if not line.startswith("Ready: "):
            raise self._error(f"said {line!r} instead of being ready")
        found = re.search(r"http://\S+", line)
        self.url = found[0] if found else ""

    def read_line(self, limit_s: float) -> str:
        """Read one line of its output.

        Raises:
            ProcessError: there was none in time; the process is killed.
        """
        assert self._process.stdout is not None
        watchdog = threading.Timer(limit_s, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise self._error(f"ended, or said nothing for {limit_s:g} s")
        return line

    def order(self, name: str, limit_s: float = _START_S, **values: Any) -> Any:
        """Give the raw loop an order and return its answer.

        Raises:
            ProcessError: no answer came.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"order": name, **values}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._error("is gone") from error
        return json.loads(self.read_line(limit_s))

    def resident_bytes(self) -> int:
        """Memory that it has in RAM."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise self._error("shows no VmRSS")
        return 1_024 * int(found[1])

    def stop(self) -> None:
        """Ask it to stop, as an orchestrator does, and see how it ends.

        Raises:
            ProcessError: it does not stop, or its exit status is not that of a process that was asked to.
        """
        if self.kind == "raw":
            assert self._process.stdin is not None
            self._process.stdin.close()
        else:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise self._error(f"did not stop within {_STOP_S:g} s") from None
        # uvicorn by itself raises the signal again once it has stopped; the service promises 0.
        if status not in ((0, -signal.SIGTERM) if self.kind == "plain" else (0,)):
            raise self._error(f"stopped with status {status}")

    def close(self) -> None:
        """Kill it if it still runs, and let go of its pipes."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _error(self, what: str) -> ProcessError:
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARS:]
        return ProcessError(f"the process {self.kind} {what}; the end of its log:\n{tail}")


@contextmanager
def running(kinds: Iterable[Kind], subject: Subject, cores: Cores, logs: Path) -> Iterator[list[Process]]:
    """Start processes side by side, and stop them at the end.

    Raises:
        ProcessError: one does not start, or does not stop as it should.
    """
    processes: list[Process] = []
    try:
        processes.extend(Process(kind, subject, cores, logs / f"{kind}.log") for kind in kinds)
        for process in processes:
            process.wait_until_ready()
        yield processes
        for process in processes:
            process.stop()
    finally:
        for process in processes:
            process.close()
