"""Faulty clients over a real socket: those that hang up, that are in a hurry, that are too many cost no other its answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.fault_client import SOON_S, Reply, Server, assert_right, form, head, serving, until
from tests.app.fault_server import clip_bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Batches of one stage can then be held while the other goes on.
    with serving(tmp_path_factory.mktemp("faults"), concurrent=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _whole_again(server: Server) -> Iterator[None]:
    yield
    server.check_whole_again()


def _dropped(server: Server) -> float:
    return server.metric("diffusion_link_dropped_items_total", stage="embed")


def _raw(clip: int) -> bytes:
    data = clip_bytes(clip)
    return head(content_length=len(data)) + data


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_client_that_hangs_up_while_it_uploads(server: Server, share: float) -> None:
    data = clip_bytes(10)
    with server.connect() as client:
        client.sendall(head(content_length=len(data)) + data[: int(share * len(data))])
        server.until_in_flight(1)
        server.check(11)
    server.until_in_flight(0)
    assert not server.has_begun(10)


@pytest.mark.parametrize(("stage", "clip"), [("embed", 20), ("write", 30)])
def test_a_client_that_hangs_up_while_it_is_queued(server: Server, stage: str, clip: int) -> None:
    server.hold(stage)
    running = server.later(clip)
    until(lambda: server.has_begun(clip, stage), "the first clip is in the stage")
    with server.connect() as client:
        client.sendall(_raw(clip + 1))
        server.until_queued(stage, 1)
        beside = server.later(clip + 2)
        server.until_queued(stage, 2)
    server.until_in_flight(2)
    server.release()
    assert_right(running.result(), clip)
    assert_right(beside.result(), clip + 2)
    assert not server.has_begun(clip + 1, stage)


def test_what_nobody_waits_for_is_counted(server: Server) -> None:
    before = _dropped(server)
    server.hold("embed")
    running = server.begin(40)
    with server.connect() as client:
        client.sendall(_raw(41))
        server.until_queued("embed", 1)
    until(lambda: _dropped(server) == before + 1, "it is dropped")
    server.release()
    assert_right(running.result(), 40)


@pytest.mark.parametrize(("stage", "clip"), [("embed", 50), ("write", 60)])
def test_a_client_that_hangs_up_while_its_batch_runs(server: Server, stage: str, clip: int) -> None:
    server.hold(stage)
    with server.connect() as client:
        client.sendall(_raw(clip))
        until(lambda: server.has_begun(clip, stage), "the clip is in the stage")
    server.until_in_flight(0)
    after = server.later(clip + 1)
    server.until_in_flight(1)
    server.release()
    assert_right(after.result(), clip + 1)
    assert server.has_begun(clip, "write") is (stage == "write")


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready"])
def test_head_has_no_body(server: Server, path: str) -> None:
    with server.connect() as client:
        client.sendall(f"HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    start, end, body = answer.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 200 ")
    assert (end, body) == (b"\r\n\r\n", b"")


def test_a_deadline_of_the_client_ends_the_request_and_its_work(server: Server) -> None:
    before = _dropped(server)
    server.hold("embed")
    running = server.begin(110)
    queued = server.caption(111, x_timeout_ms="100")
    assert (queued.status, queued.error_type) == (504, "timeout")
    assert 0.1 <= queued.took_s < SOON_S
    server.until_in_flight(1)
    until(lambda: _dropped(server) == before + 1, "the work is dropped")
    server.release()
    assert_right(running.result(), 110)
    server.check(112)
    assert not server.has_begun(111)


def test_a_deadline_passes_while_the_batch_runs(server: Server) -> None:
    server.hold("embed")
    running = server.caption(120, x_timeout_ms="300")
    assert (running.status, running.error_type) == (504, "timeout")
    server.release()
    server.check(121)
    assert not server.has_begun(120, "write")


def test_a_full_service_refuses_before_it_reads(tmp_path: Path) -> None:
    with serving(tmp_path, queue_capacity=3, max_files=3) as server:
        server.hold("embed")
        held = [server.begin(1), server.later(2)]
        server.until_in_flight(2)
        _assert_full(server.caption(3, 4))
        third = server.later(5)
        server.until_in_flight(3)
        _assert_full(server.caption(6))
        _assert_full(server.caption(6, 7))
        multipart = form([b""])[1]
        for kind in ("audio/wav", multipart):
            with server.connect() as client:
                client.sendall(head(content_length=100_000, content_type=kind))
                _assert_full(Reply.read(client))
        assert server.metric("diffusion_link_in_flight") == 3
        server.release()
        for clip, reply in zip((1, 2, 5), [*held, third], strict=True):
            assert_right(reply.result(), clip)
        server.check(8, 9, 10)


def _assert_full(reply: Reply) -> None:
    assert (reply.status, reply.error_type) == (429, "queue_full")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert reply.took_s < SOON_S
