"""Faulty uploads over a real socket: slow, shorter than they say, larger than they may be, without an end."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.app.fakes import encoded
from tests.app.fault_client import WAIT_S, Reply, Server, assert_right, head, serving
from tests.app.fault_server import clip_bytes, level_of_clip

_LIMIT_BYTES = 1024 * 1024
_FLOOD_BYTES = 48 * _LIMIT_BYTES
"""Of a body that is far larger than it may be."""
_GROWTH_BYTES = 24 * _LIMIT_BYTES
"""That the server may keep of it at most, with what allocators keep to themselves."""
_WAV_HEAD_BYTES = 44
_TIMEOUT_S = 1.0
_OTHERS = 1_000
"""Clips from here on are those of bystanders."""
_FORM = "multipart/form-data; boundary=limit"
_PART = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
_CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    work = tmp_path_factory.mktemp("uploads")
    with serving(work, max_upload_bytes=_LIMIT_BYTES, request_timeout_s=_TIMEOUT_S) as server:
        yield server


@pytest.fixture(autouse=True)
def _whole_again(server: Server) -> Iterator[None]:
    yield
    server.until_in_flight(0)
    server.check(1)


class _Trickle(threading.Thread):
    """A client that sends a byte now and then until it is answered."""

    def __init__(self, server: Server, kind: str, start: bytes) -> None:
        super().__init__(daemon=True)
        self._client = server.connect()
        self._client.sendall(head(content_length=100_000, content_type=kind) + start)
        self.sent = 0

    def run(self) -> None:
        with self._client as client:
            started_s = time.monotonic()
            while not select.select([client], [], [], 0.02)[0] and time.monotonic() < started_s + WAIT_S:
                client.sendall(b"-")
                self.sent += 1
            self.reply = Reply.read(client)
            self.took_s = time.monotonic() - started_s


@pytest.mark.parametrize(
    ("kind", "start"),
    [("audio/flac", b""), (_FORM, _PART), (_FORM, b"--limit\r\nX-")],
)
def test_a_slow_upload_disturbs_nobody_and_ends_at_the_deadline(server: Server, kind: str, start: bytes) -> None:
    slow = [_Trickle(server, kind, start) for _ in range(3)]
    for client in slow:
        client.start()
    server.until_in_flight(3)
    others = 0
    while slow[0].is_alive():
        server.check(_OTHERS + others)
        others += 1
    assert others >= 3
    for client in slow:
        client.join(WAIT_S)
        assert (client.reply.status, client.reply.error_type) == (504, "timeout")
        assert client.sent > 10
        assert _TIMEOUT_S - 0.2 < client.took_s < _TIMEOUT_S + 5


def test_a_body_that_is_shorter_than_it_says_and_ends(server: Server) -> None:
    data = clip_bytes(10)
    with server.connect() as client:
        client.sendall(head(content_length=len(data) + 100) + data)
        server.until_in_flight(1)
        client.shutdown(socket.SHUT_WR)
        server.until_in_flight(0)
    assert not server.has_begun(10)


def test_a_body_that_is_shorter_than_it_says_and_waits(server: Server) -> None:
    data = clip_bytes(11)
    with server.connect() as client:
        client.sendall(head(content_length=len(data) + 100) + data)
        reply = Reply.read(client)
    assert (reply.status, reply.error_type) == (504, "timeout")
    assert not server.has_begun(11)


def _assert_too_large(reply: Reply) -> None:
    assert (reply.status, reply.error_type) == (413, "payload_too_large")
    assert str(_LIMIT_BYTES) in reply.json["error"]["message"]


def _memory_bytes(server: Server) -> int:
    (line,) = [line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("path", ["/caption", "/bridge", "/text"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_body_that_says_that_it_is_too_large(server: Server, path: str, connection: str) -> None:
    kind = "application/json" if path == "/text" else "audio/flac"
    limit = 256 * (12 * 1_000 + 16) + 1_024 if path == "/text" else _LIMIT_BYTES
    with server.connect() as client:
        client.sendall(head(path, content_length=limit + 1, content_type=kind, connection=connection))
        reply = Reply.read(client)
    assert (reply.status, reply.error_type) == (413, "payload_too_large")
    assert str(limit) in reply.json["error"]["message"]


def test_a_client_that_asks_first_need_not_send(server: Server) -> None:
    data = clip_bytes(40)
    for size, expected in ((_LIMIT_BYTES + 1, b"HTTP/1.1 413 "), (len(data), b"HTTP/1.1 100 ")):
        with server.connect() as client:
            client.sendall(head(content_length=size, expect="100-continue"))
            assert client.recv(len(expected), socket.MSG_WAITALL | socket.MSG_PEEK) == expected
            if size == len(data):
                client.sendall(data)
                assert_right(Reply.read(client), 40)


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_that_sends_all_before_it_reads_gets_its_413(server: Server, connection: str) -> None:
    for _ in range(5):
        with server.connect() as client:
            client.sendall(head(content_length=8 * _LIMIT_BYTES, connection=connection))
            for _ in range(8):
                client.sendall(bytes(_LIMIT_BYTES))
            _assert_too_large(Reply.read(client))


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_chunked_body_without_an_end(server: Server, connection: str) -> None:
    for _ in range(5):
        with server.connect() as client:
            client.sendall(head(transfer_encoding="chunked", connection=connection))
            sent = 0
            while not select.select([client], [], [], 0)[0] and sent < _FLOOD_BYTES:
                client.sendall(_CHUNK)
                sent += len(_CHUNK)
            _assert_too_large(Reply.read(client))
            assert sent >= _LIMIT_BYTES


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_flood_is_not_kept_and_its_client_reads_the_413(server: Server, connection: str, ends: bool) -> None:
    before = _memory_bytes(server)
    with server.connect() as client:
        client.sendall(head(transfer_encoding="chunked", connection=connection))
        for _ in range(_FLOOD_BYTES // len(_CHUNK)):
            client.sendall(_CHUNK)
        if ends:
            client.sendall(b"0\r\n\r\n")
        # While the connection is there, so is whatever the server keeps of it.
        assert _memory_bytes(server) - before < _GROWTH_BYTES
        _assert_too_large(Reply.read(client))


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_without_a_key_reads_its_401_whatever_it_sends(tmp_path: Path, connection: str) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("0123456789abcdef", encoding="ascii")
    with serving(tmp_path / "server", api_keys_file=str(keys)) as server, server.connect() as client:
        before = _memory_bytes(server)
        client.sendall(head(content_length=_FLOOD_BYTES, connection=connection))
        for _ in range(_FLOOD_BYTES // _LIMIT_BYTES):
            client.sendall(bytes(_LIMIT_BYTES))
        assert _memory_bytes(server) - before < _GROWTH_BYTES
        reply = Reply.read(client)
        assert (reply.status, reply.error_type) == (401, "unauthorized")


def test_a_connection_goes_on_after_a_413(server: Server) -> None:
    data = clip_bytes(20)
    with server.connect() as client:
        client.sendall(head(transfer_encoding="chunked"))
        for _ in range(40):
            client.sendall(_CHUNK)
        client.sendall(b"0\r\n\r\n")
        _assert_too_large(Reply.read(client))
        client.sendall(head(content_length=len(data)) + data)
        assert Reply.read(client).status == 200


def test_a_large_form_is_counted_as_it_comes(server: Server) -> None:
    with server.connect() as client:
        client.sendall(head(transfer_encoding="chunked", content_type=_FORM))
        client.sendall(b"%x\r\n%b\r\n" % (len(_PART), _PART) + 40 * _CHUNK)
        _assert_too_large(Reply.read(client))


@pytest.mark.parametrize(("more", "status"), [(0, 200), (2, 413)])
def test_the_largest_body_that_is_taken(server: Server, more: int, status: int) -> None:
    data = encoded(np.full((_LIMIT_BYTES - _WAV_HEAD_BYTES + more) // 2, level_of_clip(30), dtype=np.int16))
    assert len(data) == _LIMIT_BYTES + more
    with server.connect() as client:
        client.sendall(head(content_length=len(data), content_type="audio/wav") + data)
        reply = Reply.read(client)
    assert reply.status == status
    if status == 200:
        assert_right(reply, 30)
