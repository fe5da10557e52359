"""LingeringMiddleware: lets a client that is refused while it still sends read why.

A server that closes a connection while bytes of the request are unread resets it, and the client loses the answer with the
rest (RFC 9112, section 9.6). uvicorn closes after the answer where the client asks for that, and whenever it shuts down; so
the end of an early answer is held back here until the request has ended, or for a while.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 5.0
"""For the rest of a request that nobody wants; then the client has had time to read the answer."""


class LingeringMiddleware:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; the end of its answer comes after the end of its body."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        request_ended = end_held_back = False

        async def receive_watched() -> Message:
            nonlocal request_ended
            message = await receive()
            request_ended = not message.get("more_body", False)
            return message

        async def send_but_end(message: Message) -> None:
            nonlocal end_held_back
            if message["type"] == "http.response.body" and not message.get("more_body", False) and not request_ended:
                end_held_back, message = True, {**message, "more_body": True}
            await send(message)

        await self._app(scope, receive_watched, send_but_end)
        if not end_held_back:
            return
        try:
            async with asyncio.timeout(LINGER_S):
                while not request_ended:
                    await receive_watched()
        except TimeoutError:
            # The client has had time enough to read.
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
