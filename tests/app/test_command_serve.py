"""`diffusion-link serve`: a real socket, the ready lines, and a signal in the middle of a request."""

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from app import command_serve
from app.command_serve import PortError, _base_url, bind_port, run_server, serve
from app.main import create_app
from app.settings import ServiceSettings
from models.pipeline import Pipeline
from tests.app.fakes import WAIT_S, FakePipeline


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_serve, "configure_logging", lambda: None)


class _Visitor(threading.Thread):
    """Sends a request while the main thread serves, and a signal while that request runs."""

    def __init__(self, pipeline: FakePipeline, url: str, wav: bytes, number: int) -> None:
        super().__init__()
        self.pipeline, self.url, self.wav, self.number = pipeline, url, wav, number
        self.statuses: list[int] = []

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self.url, timeout=WAIT_S, transport=httpx.HTTPTransport(retries=10)) as http:
                self.statuses.append(http.get("/health/ready").status_code)
                self.pipeline.gate.clear()
                opener = threading.Thread(target=self._signal)
                opener.start()
                self.statuses.append(http.post("/caption", files={"file": self.wav}).status_code)
                opener.join()
        finally:
            self.pipeline.gate.set()
            if len(self.statuses) < 2:
                os.kill(os.getpid(), self.number)

    def _signal(self) -> None:
        assert self.pipeline.entered.wait(WAIT_S)
        os.kill(os.getpid(), self.number)
        self.pipeline.gate.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(
    pipeline: FakePipeline, wav: bytes, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Pipeline, "load", pipeline.load)
    listener = bind_port("127.0.0.1", 0)
    url = _base_url(listener)
    monkeypatch.setattr(command_serve, "bind_port", lambda host, port: listener)
    before = signal.getsignal(number)
    visitor = _Visitor(pipeline, url, wav, number)
    ready = command_serve.DrainingServer.startup

    async def startup(server: command_serve.DrainingServer, sockets: list[socket.socket] | None = None) -> None:
        await ready(server, sockets)
        visitor.start()

    monkeypatch.setattr(command_serve.DrainingServer, "startup", startup)
    assert serve(ServiceSettings(artifact=Path("mine"), device="cpu", cpu_threads=1)) == 0
    visitor.join()
    assert visitor.statuses == [200, 200]
    assert pipeline.loaded == (Path("mine"), "cpu", 1, "auto", False)
    assert pipeline.warm
    assert signal.getsignal(number) == before
    out = capsys.readouterr().out
    assert f"Ready: {url} " in out
    assert f"curl -F file=@{command_serve.SAMPLE_FILE} {url}/caption" in out
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(listener_address(url))


def listener_address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def test_a_port_that_is_taken_in_the_meantime(pipeline: FakePipeline) -> None:
    settings = ServiceSettings()
    with bind_port("127.0.0.1", 0) as ours, socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        theirs.bind(ours.getsockname())
        theirs.listen()
        with pytest.raises(PortError, match="cannot listen on http:"):
            run_server(create_app(settings, pipeline.load), settings, ours)


def test_addresses_that_work_from_here() -> None:
    with bind_port("0.0.0.0", 0) as listener:
        assert _base_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    if socket.has_ipv6:
        with bind_port("::1", 0) as listener:
            assert _base_url(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        with bind_port("::", 0) as listener:
            assert _base_url(listener).startswith("http://[::1]:")


@pytest.mark.parametrize("host", ["192.0.2.1"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(PortError, match=f"cannot listen on {host}:1"):
        bind_port(host, 1)


async def _no_delay_of_an_accepted_connection() -> int:
    accepted = asyncio.get_running_loop().create_future()

    async def visit(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with bind_port("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(visit, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            value: int = await accepted
            writer.close()
    return value


def test_the_body_of_an_answer_does_not_wait_for_an_acknowledgement_of_its_head() -> None:
    assert asyncio.run(_no_delay_of_an_accepted_connection())
