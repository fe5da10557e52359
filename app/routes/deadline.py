"""The header `x-timeout-ms` of the paths that do work."""

from typing import Annotated

from fastapi import Header, Request

from app.logs import trace_of

_LONGEST_MS = 86_400_000


async def client_deadline(
    request: Request,
    x_timeout_ms: Annotated[
        int | None,
        Header(
            ge=1,
            le=_LONGEST_MS,
            description="Milliseconds that the client waits; past them the answer is 504 and what is not done is not done. "
            "The service's own limit holds if it is shorter.",
        ),
    ] = None,
) -> None:
    """Note how long the client waits."""
    if x_timeout_ms is not None:
        trace_of(request.scope).timeout_s = x_timeout_ms / 1_000
