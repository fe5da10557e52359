"""Debian's prometheus with deploy/prometheus.yml, pointed at a port of this machine and in a hurry."""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.files import DEPLOY, read_yaml
from tests.programs import debian_program

INTERVAL = "500ms"
_WAIT_S = 30.0


class Prometheus:
    """A server that answers queries."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self.log = log

    def get(self, path: str, **query: str) -> Any:
        """What the HTTP API answers."""
        url = f"{self._url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=_WAIT_S) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression, now; a fault of it is an HTTP error."""
        return list(self.get("/api/v1/query", query=expression)["result"])

    def until(self, expression: str, meanwhile: Callable[[], None] = lambda: time.sleep(0.1)) -> None:
        """Do something again and again until an expression returns anything."""
        end_s = time.monotonic() + _WAIT_S
        while not self.query(expression):
            assert time.monotonic() < end_s, f"{expression} stays empty: {self.log.read_text(encoding='utf-8')[-2_000:]}"
            meanwhile()


@contextmanager
def scraping(work: Path, port: int, key: Path) -> Iterator[Prometheus]:
    """Prometheus with the deployed configuration, which scrapes a port of this machine with the key of a file."""
    config = read_yaml("deploy/prometheus.yml")
    config["global"] = dict.fromkeys(config["global"], INTERVAL)
    config["rule_files"] = [str(DEPLOY / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(key)
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    (work / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [debian_program("prometheus"), f"--config.file={work / 'prometheus.yml'}", f"--web.listen-address={address}"]
    with (work / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={work / 'data'}"], stdout=log, stderr=log)
    try:
        prometheus = Prometheus(f"http://{address}", work / "log")
        _until_ready(f"http://{address}/-/ready", process, work / "log")
        yield prometheus
    finally:
        process.terminate()
        process.wait(timeout=_WAIT_S)


def _until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end_s = time.monotonic() + _WAIT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=_WAIT_S).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end_s, log.read_text(encoding="utf-8")  # noqa: PT018
            time.sleep(0.05)
