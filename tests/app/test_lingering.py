"""LingeringMiddleware: the end of an answer waits for the end of the request."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app import lingering
from app.lingering import LingeringMiddleware

pytestmark = pytest.mark.anyio

_END = {"type": "http.response.body", "body": b"no", "more_body": False}


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send(_END)


async def _run(messages: list[Message], **headers: str) -> tuple[list[Message], int]:
    """What was sent, and how many messages of the request were left unread."""
    sent: list[Message] = []

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "headers": encoded}
    await LingeringMiddleware(_refuse)(scope, receive, send)
    return sent[1:], len(messages)


def _body(count: int) -> list[Message]:
    parts = [{"type": "http.request", "body": b"x", "more_body": True} for _ in range(count)]
    return [*parts, {"type": "http.request", "body": b"x", "more_body": False}]


async def test_the_rest_is_read_before_the_end() -> None:
    sent, unread = await _run(_body(5), content_length="6")
    assert [(message["body"], message["more_body"]) for message in sent] == [(b"no", True), (b"", False)]
    assert unread == 0


async def test_a_client_that_hangs_up_is_not_waited_for() -> None:
    sent, unread = await _run([{"type": "http.disconnect"}], transfer_encoding="chunked")
    assert [message["more_body"] for message in sent] == [True, False]
    assert unread == 0


async def test_a_request_without_an_end_is_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LINGER_S", 0.01)
    sent, _ = await _run(_body(3)[:-1], transfer_encoding="chunked")
    assert [message["more_body"] for message in sent] == [True, False]


@pytest.mark.parametrize("headers", [{"content_length": "0"}, {"connection": "close"}, {}])
async def test_requests_without_a_body_are_left_alone(headers: dict[str, str]) -> None:
    assert await _run(_body(2), **headers) == ([_END], 3)
