"""Logs as JSON lines, and the Trace that one request leaves: its id, stage times and outcome.

The middleware makes the trace, handlers and error handlers fill it in, and the middleware writes it out as one access-log
line, as response headers and as metrics.
"""

import json
import logging
import math
import re
import sys
import time
import uuid
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from app.times import STAGES, StageTimes

ACCESS_LOG = logging.getLogger("app.access")
QUIET_ROUTES = ("/health/live", "/health/ready", "/metrics")
"""Polled every few seconds; logged at debug level."""
CLIENT_GONE_STATUS = 499
"""nginx's status for a client that hung up: for logs and metrics only, since nobody is there to get it."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACE_KEY = "diffusion_link.trace"


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 3)


@dataclass(slots=True)
class Trace:
    """What is known of one request while it runs."""

    request_id: str
    started_s: float = field(default_factory=time.perf_counter)
    status: int = CLIENT_GONE_STATUS
    error_type: str = ""
    timeout_s: float = math.inf
    """Seconds that the client waits, if it says so."""
    times: StageTimes | None = None

    @property
    def total_s(self) -> float:
        """Seconds since the request's headers arrived."""
        return time.perf_counter() - self.started_s

    def headers(self) -> dict[str, str]:
        """The response headers; the stage times only if the request reached the stages."""
        headers = {"x-request-id": self.request_id, "x-total-ms": str(_ms(self.total_s))}
        if self.times is not None:
            headers["x-queue-ms"] = str(_ms(self.times.total_queue_s))
            headers |= {f"x-{stage}-ms": str(_ms(self.times.run_s.get(stage, 0.0))) for stage in STAGES}
        return headers


def begin_trace(scope: MutableMapping[str, Any], request_id: str | None) -> Trace:
    """Attach a trace to an ASGI scope; an id that is not short and plain is replaced by one of ours."""
    valid = request_id is not None and _REQUEST_ID.fullmatch(request_id)
    trace = Trace(request_id if request_id and valid else uuid.uuid4().hex)
    scope[_TRACE_KEY] = trace
    return trace


def trace_of(scope: Mapping[str, Any]) -> Trace:
    """The trace that `begin_trace` attached."""
    return cast(Trace, scope[_TRACE_KEY])


def log_access(trace: Trace, method: str, route: str) -> None:
    """Write one access-log line."""
    fields: dict[str, Any] = {
        "request_id": trace.request_id,
        "method": method,
        "route": route,
        "status": trace.status,
        "total_ms": _ms(trace.total_s),
    }
    if trace.error_type:
        fields["error_type"] = trace.error_type
    if trace.times is not None:
        fields |= {f"{stage}_queue_ms": _ms(seconds) for stage, seconds in trace.times.queue_s.items()}
        fields |= {f"{stage}_ms": _ms(seconds) for stage, seconds in trace.times.run_s.items()}
    ACCESS_LOG.log(logging.DEBUG if route in QUIET_ROUTES else logging.INFO, "request", extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `extra={"fields": {...}}` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: int = logging.INFO) -> None:
    """Send every log of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
