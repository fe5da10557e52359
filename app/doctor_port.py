"""The doctor's check of the port: whether it is free, or what answers there."""

import errno
import http.client
import json
import socket

from app.doctor import Finding, Visit

_NOT_OURS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_MAX_ANSWER_BYTES = 4_096
_WAIT_S = 2.0


def check_port(visit: Visit) -> Finding:
    """Whether the port is free; if not, whether a service of ours has it, and is ready."""
    from app.command_serve import PortError, bind_port

    host, port = visit.settings.host, visit.settings.port
    try:
        bind_port(host, port).close()
    except PortError as error:
        return _taken(host, port, error.__cause__)
    if port == 0:
        return Finding("ok", f"{host} is an address of this machine, and a free port will be taken")
    return Finding("ok", f"{host}:{port} is free")


def _taken(host: str, port: int, cause: BaseException | None) -> Finding:
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    found = f"cannot listen on {host}:{port}: {reason}"
    if isinstance(cause, PermissionError):
        return Finding("wrong", found, "ports below 1024 are for root: choose another --port")
    if isinstance(cause, socket.gaierror) or (isinstance(cause, OSError) and cause.errno in _NOT_OURS):
        return Finding("wrong", found, "give --host an address of this machine, as 127.0.0.1, or 0.0.0.0 for all of them")
    where = f"{host}:{port}"
    if _asked(host, port, "/health/live") is None:
        return Finding("wrong", found, "stop what listens there, or choose another --port")
    ready = _asked(host, port, "/health/ready")
    if ready == "":
        return Finding("warning", f"a running service has {where}, and is ready", "nothing, or choose another --port")
    fault = ready or "it does not say why"
    return Finding("warning", f"a running service has {where}, and is not ready: {fault}", "wait, or read its log")


def _asked(host: str, port: int, path: str) -> str | None:
    """What a service of ours says to be the matter with it: empty, nothing; None: what answers is no such service."""
    connection = http.client.HTTPConnection(host, port, timeout=_WAIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.loads(answer.read(_MAX_ANSWER_BYTES))
        return "" if body == {"status": "ok"} and answer.status == http.HTTPStatus.OK else str(body["error"]["message"])
    # Whatever listens there may answer anything, or nothing.
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None
    finally:
        connection.close()
