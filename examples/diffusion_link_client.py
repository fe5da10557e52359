"""A client of the service, to copy into your own program; it needs Python 3.11 and httpx.

    with Client("http://127.0.0.1:8000") as client:
        for result in client.caption(["a.wav", "b.mp3"]):
            print(result["filename"], result["error"]["message"] if "error" in result else result["caption"])

`AsyncClient` has the same methods, to be awaited. Both run the same generators, which say what to send and how long to wait.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NotRequired, TypedDict, TypeVar, final

import httpx

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how many files are done, and of how many."""
_FILES_A_REQUEST, _BYTES_A_REQUEST = 16, 32 * 1024 * 1024
_RETRIED = (429, 503)
_MAX_WAIT_S = 30.0
"""The longest wait before a request is tried again, whatever Retry-After says."""
_FILE_FAULTS = {
    "empty_audio",
    "unreadable_audio",
    "damaged_audio",
    "unsupported_audio",
    "audio_too_short",
    "audio_too_long",
    "invalid_audio",
    "payload_too_large",
}
"""Errors that concern one file; any other is the request's, and raised."""


class ErrorDetail(TypedDict):
    """What went wrong with one file."""

    type: str
    message: str


@final
class FailedFile(TypedDict):
    """A file that could not be used."""

    filename: str | None
    error: ErrorDetail


class ScoredCaption(TypedDict):
    """A caption, and the cosine of its embedding with the sound's."""

    caption: str
    score: float


class TimelineEntry(ScoredCaption):
    """The caption of ten seconds."""

    start_s: float
    end_s: float


@final
class CaptionedFile(TypedDict):
    """The caption of one file."""

    filename: str | None
    duration_s: float
    caption: str
    score: float
    candidates: NotRequired[list[ScoredCaption]]
    timeline: NotRequired[list[TimelineEntry]]


@final
class EmbeddedFile(TypedDict):
    """The embedding of one file, of unit length, to be compared with those of texts."""

    filename: str | None
    duration_s: float
    embedding: list[float]


class ServiceError(Exception):
    """The service refused a request, or could not be reached; then `status` is None."""

    def __init__(self, type: str, message: str, request_id: str = "", status: int | None = None) -> None:
        """Hold what the service said."""
        super().__init__(f"{message} ({type})")
        self.type, self.message, self.request_id, self.status = type, message, request_id, status


_Flow = Generator[tuple[float, httpx.Request], httpx.Response, T]
"""Seconds to wait and a request to send then, again and again; it is sent the responses."""


class _Calls:
    """What both clients have in common."""

    def __init__(self, http: httpx.Client | httpx.AsyncClient, retries: int) -> None:
        self._build, self._retries = http.build_request, retries

    def files(
        self, path: str, files: Sequence[str | Path], query: dict[str, Any], progress: Progress | None
    ) -> _Flow[list[Any]]:
        results: list[Any] = []
        for part in _parts([Path(file) for file in files]):
            results += yield from self._part(path, part, query)
            if progress is not None:
                progress(len(results), len(files))
        return results

    def texts(self, texts: Sequence[str]) -> _Flow[list[list[float]]]:
        body = yield from self._call("/text", json={"texts": list(texts)})
        return [result["embedding"] for result in body["results"]]

    def _part(self, path: str, part: list[Path], query: dict[str, Any]) -> _Flow[list[Any]]:
        """Send some files; if none of them could be used, that is an error, and each is sent alone to learn its own."""
        form = [("file", (file.name, file.read_bytes())) for file in part]
        try:
            body = yield from self._call(path, files=form, params=query)
        except ServiceError as error:
            if error.type not in _FILE_FAULTS:
                raise
            if len(part) == 1:
                return [{"filename": part[0].name, "error": {"type": error.type, "message": error.message}}]
            results: list[Any] = []
            for file in part:
                results += yield from self._part(path, [file], query)
            return results
        return list(body["results"])

    def _call(self, path: str, **content: Any) -> _Flow[Any]:
        response = yield 0.0, self._build("POST", path, **content)
        for _ in range(self._retries):
            if response.status_code not in _RETRIED:
                break
            response = yield _retry_after_s(response), self._build("POST", path, **content)
        if not response.is_success:
            raise _error_of(response)
        try:
            return response.json()
        except ValueError as error:
            raise _error_of(response) from error


class Client:
    """The service, one call at a time."""

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = 120.0, retries: int = 5) -> None:
        """Send nothing yet; what is answered with 429 or 503 is tried again after its Retry-After, `retries` times."""
        self.http = httpx.Client(base_url=url, headers=_headers(api_key), timeout=timeout_s)
        self._calls = _Calls(self.http, retries)

    def caption(
        self, files: Sequence[str | Path], *, progress: Progress | None = None, **query: bool | int
    ) -> list[CaptionedFile | FailedFile]:
        """Caption files, in their order; `query` is that of POST /caption, as candidates=3 or timeline=True.

        Raises:
            ServiceError: the request was refused, or the service cannot be reached.
            OSError: a file cannot be read.
        """
        return self._run(self._calls.files("/caption", files, query, progress))

    def bridge(self, files: Sequence[str | Path], *, progress: Progress | None = None) -> list[EmbeddedFile | FailedFile]:
        """Embed files, in their order; raises what `caption` raises."""
        return self._run(self._calls.files("/bridge", files, {}, progress))

    def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts, to be compared with what `bridge` gives; raises what `caption` raises."""
        return self._run(self._calls.texts(texts))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.http.close()

    def _run(self, flow: _Flow[T]) -> T:
        try:
            wait_s, request = next(flow)
            while True:
                time.sleep(wait_s)
                wait_s, request = flow.send(self.http.send(request))
        except StopIteration as done:
            result: T = done.value
            return result
        except httpx.TransportError as error:
            raise ServiceError("no_answer", str(error)) from error


class AsyncClient:
    """The service, for asyncio; `Client` says what the arguments mean."""

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = 120.0, retries: int = 5) -> None:
        """Send nothing yet."""
        self.http = httpx.AsyncClient(base_url=url, headers=_headers(api_key), timeout=timeout_s)
        self._calls = _Calls(self.http, retries)

    async def caption(
        self, files: Sequence[str | Path], *, progress: Progress | None = None, **query: bool | int
    ) -> list[CaptionedFile | FailedFile]:
        """Caption files."""
        return await self._run(self._calls.files("/caption", files, query, progress))

    async def bridge(
        self, files: Sequence[str | Path], *, progress: Progress | None = None
    ) -> list[EmbeddedFile | FailedFile]:
        """Embed files."""
        return await self._run(self._calls.files("/bridge", files, {}, progress))

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts."""
        return await self._run(self._calls.texts(texts))

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def _run(self, flow: _Flow[T]) -> T:
        try:
            wait_s, request = next(flow)
            while True:
                await asyncio.sleep(wait_s)
                wait_s, request = flow.send(await self.http.send(request))
        except StopIteration as done:
            result: T = done.value
            return result
        except httpx.TransportError as error:
            raise ServiceError("no_answer", str(error)) from error


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def _parts(files: Sequence[Path]) -> Iterator[list[Path]]:
    """As many files together as one request may hold: the service embeds them in one batch."""
    part: list[Path] = []
    size = 0
    for file in files:
        own = file.stat().st_size
        if part and (len(part) == _FILES_A_REQUEST or size + own > _BYTES_A_REQUEST):
            yield part
            part, size = [], 0
        part.append(file)
        size += own
    if part:
        yield part


def _retry_after_s(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return min(float(value), _MAX_WAIT_S) if value.isascii() and value.isdecimal() else 1.0


def _error_of(response: httpx.Response) -> ServiceError:
    """What the service says, or a proxy before it, whose body can be anything."""
    try:
        error = response.json()["error"]
        return ServiceError(error["type"], error["message"], error["request_id"], response.status_code)
    except (ValueError, KeyError, TypeError):
        return ServiceError("http_error", response.text[:200] or response.reason_phrase, status=response.status_code)
