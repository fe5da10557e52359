"""TraceMiddleware: the outermost layer; gives each request its id and trace, and writes down how it ended.

It is also where an error that nothing expected becomes the one error shape, with its traceback in the log only.
"""

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import error_response
from app.logs import Trace, begin_trace, log_access
from app.metrics import Metrics

UNMATCHED_ROUTE = "unmatched"
"""The route of paths that do not exist: a stranger's paths must not become labels."""

_log = logging.getLogger(__name__)


class TraceMiddleware:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap `app`."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request to its end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = begin_trace(scope, Headers(scope=scope).get("x-request-id"))
        started = False

        async def send_traced(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started, trace.status = True, message["status"]
                MutableHeaders(scope=message).update(trace.headers())
            await send(message)

        try:
            await self._app(scope, receive, send_traced)
        except ClientDisconnect:
            trace.error_type = "client_gone"
        except Exception as error:
            _log.exception("request %s failed", trace.request_id, extra={"fields": {"request_id": trace.request_id}})
            if started:
                raise
            await error_response(trace, error)(scope, receive, send_traced)
        finally:
            self._write_down(trace, scope)

    def _write_down(self, trace: Trace, scope: Scope) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED_ROUTE)
        self._metrics.observe_request(trace, route)
        log_access(trace, scope["method"], route)
