"""A port that is free, taken by a service of ours or by something else, or not to be had."""

import errno
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app import command_serve
from app.command_serve import PortError
from app.doctor import Finding, Visit
from app.doctor_port import check_port

_OK = (200, {"status": "ok"})


def _look(host: str, port: int) -> Finding:
    return check_port(Visit({"host": host, "port": port}, {}))


@contextmanager
def _answering(answers: dict[str, tuple[int, object]]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {"detail": "Not Found"}))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert _look("127.0.0.1", port) == Finding("ok", f"127.0.0.1:{port} is free")
    assert _look("127.0.0.1", 0).found == "127.0.0.1 is an address of this machine, and a free port will be taken"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_service_of_ours(host: str) -> None:
    with _answering({"/health/live": _OK, "/health/ready": _OK}) as port:
        found = _look(host, port)
        assert (found.level, found.found) == ("warning", f"a running service has {host}:{port}, and is ready")
    error = {"error": {"type": "not_ready", "message": "the model is loading", "request_id": "1"}}
    with _answering({"/health/live": _OK, "/health/ready": (503, error)}) as port:
        found = _look(host, port)
        assert found.level == "warning"
        assert found.found == f"a running service has {host}:{port}, and is not ready: the model is loading"


@pytest.mark.parametrize("answer", [(404, {"detail": "Not Found"}), (200, "ok"), (200, [1]), (200, {"error": "x"})])
def test_another_program(answer: tuple[int, object]) -> None:
    with _answering({"/health/live": answer}) as port:
        found = _look("127.0.0.1", port)
    assert (found.level, found.found) == ("wrong", f"cannot listen on 127.0.0.1:{port}: Address already in use")
    assert found.mend == "stop what listens there, or choose another --port"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours(host: str) -> None:
    found = _look(host, 8000)
    assert found.level == "wrong"
    assert found.mend.startswith("give --host an address of this machine")


def test_a_port_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(host: str, port: int) -> socket.socket:
        raise PortError("cannot") from PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(command_serve, "bind_port", bind)
    found = _look("127.0.0.1", 80)
    assert (found.level, found.found) == ("wrong", "cannot listen on 127.0.0.1:80: Permission denied")
    assert "root" in found.mend
