"""`diffusion-link serve`: take the port, load the artifact, serve until a signal, drain."""

import asyncio
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.loading import load_pipeline
from app.logs import configure_logging
from app.main import create_app
from app.service import Service
from app.settings import ServiceSettings
from models.errors import DiffusionLinkError

SAMPLE_FILE = "examples/snare_drum.wav"
_ANSWER_S = 5
"""Seconds, after the drain, to send the last answers."""

_SIGNAL_STATUS = 128
"""Added to a signal's number, it is the exit status that shells give a process which the signal ended."""

_log = logging.getLogger(__name__)


class PortError(DiffusionLinkError):
    """The address cannot be listened on."""


class DrainingServer(uvicorn.Server):
    """uvicorn, which tells people when it is ready, and tells the service of a shutdown when that begins, not ends."""

    def __init__(self, config: uvicorn.Config, service: Service, base_url: str) -> None:
        """Serve `config`'s app, which is that of `service`."""
        super().__init__(config)
        self._service = service
        self._base_url = base_url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        # What has been loaded stays: looking through its million objects again and again for garbage would stop the event
        # loop for a tenth of a second each time. It holds for the whole process, and so is the server's to say.
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"Ready: {self._base_url}  (POST /caption /bridge /text, GET /models /docs /metrics)\n")
        sys.stdout.write(f"Try:   curl -F file=@{SAMPLE_FILE} {self._base_url}/caption\n")
        sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal; exit at once at the second, whatever it is and whatever is unanswered."""
        if self.should_exit:
            _log.warning("a second signal: %d files are left unanswered", self._service.in_flight)
            os._exit(_SIGNAL_STATUS + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and finish what is in."""
        drain = asyncio.create_task(self._service.drain())
        await super().shutdown(sockets)
        await drain


def serve(settings: ServiceSettings) -> int:
    """Serve until a signal; returns the exit status.

    Raises:
        PortError: the address cannot be listened on.
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there or too small, or cannot do what was asked of it.
    """
    configure_logging()
    with bind_port(settings.host, settings.port) as listener:
        # Loaded here and not by the app's lifespan, so that its faults are one line and not a traceback.
        _log.info("loading %s", settings.artifact_folder)
        pipeline = load_pipeline(settings)
        return run_server(create_app(settings, load=lambda *_: pipeline), settings, listener)


def run_server(app: FastAPI, settings: ServiceSettings, listener: socket.socket) -> int:
    """Serve an app on a bound socket until a signal."""
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.drain_timeout_s) + _ANSWER_S,
    )
    server = DrainingServer(config, service, _base_url(listener))
    # uvicorn raises the signal again once it has stopped; a drained service has not failed.
    before = signal.signal(signal.SIGTERM, _stopped)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        _log.info("stopped by Ctrl-C")
    except OSError as error:
        raise PortError(f"cannot listen on {_base_url(listener)}: {error.strerror}") from error
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _stopped(_: int, __: FrameType | None) -> None:
    _log.info("stopped by a signal")


def bind_port(host: str, port: int) -> socket.socket:
    """Take the port before the artifact is loaded; nobody can connect before uvicorn listens on it."""
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; an answer is a head and a body, and
    # with it the body would wait 40 ms for the client's delayed acknowledgement of the head.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    return listener


def _base_url(listener: socket.socket) -> str:
    """An address that works from this machine."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
