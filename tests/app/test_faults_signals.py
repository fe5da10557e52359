"""Signals over a real socket: what was accepted is answered, what comes later is refused, a second signal waits for none."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest

from tests.app.fault_client import WAIT_S, Reply, Server, assert_right, head, serving, until
from tests.app.fault_server import clip_bytes

_CLIENTS = 12
_AT_ONCE_S = 1.0


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server started as a person does, with `python -m`; it becomes ready while the other tests run."""
    server = Server(tmp_path_factory.mktemp("program"), program=True, batch_s=0.01)
    yield server
    server.stop()


def _refuses(server: Server) -> bool:
    try:
        socket.create_connection(server.address, WAIT_S).close()
    except ConnectionRefusedError:
        return True
    return False


def _ended(server: Server, timeout_s: float = WAIT_S) -> int:
    until(lambda: server.exit_status() is not None, "the server has ended", timeout_s)
    status = server.exit_status()
    assert status is not None
    return status


class _Client(threading.Thread):
    """Sends one request after the other, each on a connection of its own, until it is refused."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self._server, self._number = server, number
        self.replies: dict[str, Reply] = {}
        self.unanswered: list[str] = []
        self.refusals = 0

    def run(self) -> None:
        for count in range(100):
            clip, request_id = count * _CLIENTS + self._number, f"{self._number}-{count}"
            try:
                reply = self._server.caption(clip, seed=clip, x_request_id=request_id)
            except ConnectionRefusedError:
                self.refusals += 1
                return
            except (OSError, http.client.HTTPException):
                self.unanswered.append(request_id)
                return
            self.replies[request_id] = reply
            if reply.status != 200:
                return
            assert_right(reply, clip, seed=clip)


def _accessed(server: Server) -> dict[str, int]:
    """Status by request id, as the server wrote it down."""
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return {line["request_id"]: line["status"] for line in lines if line["message"] == "request"}


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_what_runs_waits_and_uploads_is_answered(tmp_path: Path, number: int) -> None:
    data = clip_bytes(2)
    with serving(tmp_path) as server:
        server.hold("embed")
        running = [server.begin(1), *(server.later(clip) for clip in range(3, 3 + _CLIENTS))]
        with server.connect() as uploading, server.connect() as idle:
            uploading.sendall(head(content_length=len(data)) + data[:100])
            server.until_in_flight(2 + _CLIENTS)
            server.signal(number)
            until(lambda: _refuses(server), "it stops listening")
            assert idle.recv(1) == b""
            assert server.exit_status() is None
            uploading.sendall(data[100:])
            server.release()
            assert_right(Reply.read(uploading), 2)
        for clip, reply in zip((1, *range(3, 3 + _CLIENTS)), running, strict=True):
            assert_right(reply.result(), clip)
        assert _ended(server) == 0


def test_an_upload_that_is_refused_in_a_drain_reads_why(tmp_path: Path) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with serving(tmp_path, max_upload_bytes=len(chunk)) as server, server.connect() as client:
        client.sendall(head(transfer_encoding="chunked"))
        server.until_in_flight(1)
        server.signal(SIGTERM)
        until(lambda: _refuses(server), "it stops listening")
        for _ in range(100):
            client.sendall(chunk)
        reply = Reply.read(client)
        assert (reply.status, reply.error_type) == (413, "payload_too_large")
        client.close()
        assert _ended(server) == 0


def test_a_drain_has_an_end(tmp_path: Path) -> None:
    with serving(tmp_path, drain_timeout_s=0.3) as server:
        server.hold("embed")
        held = [server.begin(1), server.later(2)]
        server.until_in_flight(2)
        server.signal(SIGTERM)
        for reply in held:
            answer = reply.result(WAIT_S)
            assert (answer.status, answer.error_type) == (503, "shutting_down")
        assert _ended(server) == 0


def test_an_upload_that_outlasts_the_drain_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path, drain_timeout_s=0.3) as server, server.connect() as client:
        client.sendall(head(content_length=1_000) + b"-")
        server.until_in_flight(1)
        server.signal(SIGTERM)
        reply = Reply.read(client)
        assert (reply.status, reply.error_type) == (503, "shutting_down")
        assert _ended(server) == 0


@pytest.mark.parametrize("numbers", [(SIGTERM, SIGTERM), (SIGTERM, SIGINT), (SIGINT, SIGTERM)])
def test_a_second_signal_does_not_wait(tmp_path: Path, numbers: tuple[int, int]) -> None:
    with serving(tmp_path) as server:
        server.hold("embed")
        held = server.begin(1)
        server.signal(numbers[0])
        until(lambda: _refuses(server), "it stops listening")
        assert server.exit_status() is None
        server.signal(numbers[1])
        assert _ended(server, _AT_ONCE_S) != 0
        assert isinstance(held.exception(WAIT_S), OSError | http.client.HTTPException)


def test_under_load_every_accepted_request_is_answered(program: Server) -> None:
    server = program.ready()
    clients = [_Client(server, number) for number in range(_CLIENTS)]
    for client in clients:
        client.start()
    until(lambda: sum(len(client.replies) for client in clients) >= 5 * _CLIENTS, "the service is under load")
    server.signal(SIGTERM)
    assert _ended(server) == 0
    for client in clients:
        client.join(WAIT_S)
        assert not client.is_alive()
    replies = {request_id: reply for client in clients for request_id, reply in client.replies.items()}
    assert {reply.status for reply in replies.values()} <= {200, 503}
    assert {reply.error_type for reply in replies.values() if reply.status == 503} <= {"not_ready"}
    # Nothing that the server took in is without an answer, and what is without one was never taken in.
    assert _accessed(server) == {request_id: reply.status for request_id, reply in replies.items()}
    assert len(replies) >= 5 * _CLIENTS
    assert all(
        client.refusals or client.unanswered or 503 in [r.status for r in client.replies.values()] for client in clients
    )
