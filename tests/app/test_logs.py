"""Traces and JSON log lines."""

import json
import logging
import sys

import pytest

from app.logs import ACCESS_LOG, JsonFormatter, begin_trace, configure_logging, log_access, trace_of
from app.times import StageTimes


@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 128])
def test_a_plain_request_id_is_kept(given: str) -> None:
    assert begin_trace({}, given).request_id == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\nb", "é", '"'])
def test_another_one_is_replaced(given: str | None) -> None:
    request_id = begin_trace({}, given).request_id
    assert request_id != given
    assert len(request_id) == 32


def test_a_trace_stays_with_its_request() -> None:
    scope: dict[str, object] = {}
    trace = begin_trace(scope, None)
    assert trace_of(scope) is trace


def test_headers_have_stage_times_only_if_there_are_any() -> None:
    trace = begin_trace({}, "id")
    assert trace.headers().keys() == {"x-request-id", "x-total-ms"}
    trace.times = StageTimes({"decode": 0.001, "embed": 0.002}, {"decode": 1.0, "embed": 0.25, "write": 0.5})
    headers = trace.headers()
    assert (headers["x-queue-ms"], headers["x-embed-ms"], headers["x-write-ms"]) == ("3.0", "250.0", "500.0")


def test_an_access_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, ACCESS_LOG.name)
    trace = begin_trace({}, "id")
    trace.status, trace.error_type = 504, "timeout"
    trace.times = StageTimes({"embed": 0.001}, {"embed": 0.25})
    log_access(trace, "POST", "/caption")
    log_access(trace, "GET", "/health/live")
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert line.pop("total_ms") >= 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "app.access",
        "message": "request",
        "request_id": "id",
        "method": "POST",
        "route": "/caption",
        "status": 504,
        "error_type": "timeout",
        "embed_queue_ms": 1.0,
        "embed_ms": 250.0,
    }


def test_a_traceback_is_one_line() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "it %s", ("failed",), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert json.loads(text)["message"] == "it failed"
    assert "ValueError: why" in json.loads(text)["traceback"]


def test_all_logs_go_to_stderr_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging()
        logging.getLogger("somebody.else").warning("hello")
    finally:
        root.handlers, level = before[0], before[1]
        root.setLevel(level)
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
