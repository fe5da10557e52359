"""The one bounded way from a request to bytes: multipart or raw audio, counted while they arrive; JSON texts.

Files larger than 1 MB are spooled by the standard library to nameless files in the temporary folder; a name that a client
sends never becomes a path.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.captioning import AudioFile
from app.errors import (
    FieldError,
    MalformedMultipartError,
    MissingFileError,
    PayloadTooLargeError,
    TooManyFilesError,
    UnsupportedMediaTypeError,
)
from app.settings import ServiceSettings

FIELD = "file"
_MAX_TEXT_PARTS = 1
"""There should be none; the first is read so that the error can name it."""
_MAX_TEXT_PART_BYTES = 4_096


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_bounded(request: Request, max_bytes: int) -> bytes:
    """Read a small body into memory.

    Raises:
        PayloadTooLargeError: it is larger than `max_bytes`.
    """
    return b"".join([chunk async for chunk in _counted(request, max_bytes)])


@asynccontextmanager
async def receive_files(request: Request, settings: ServiceSettings) -> AsyncIterator[list[AudioFile]]:
    """Receive the audio files of a request; they are gone when the context ends.

    Raises:
        ServiceError: the subclass says what is wrong with the request.
    """
    kind = media_type(request)
    chunks = _counted(request, settings.max_upload_bytes)
    with ExitStack() as spools:
        if kind == "multipart/form-data":
            uploads = await _receive_form(request.headers, chunks, settings.max_files, spools)
        elif kind.startswith("audio/"):
            upload = await _receive_raw(chunks, spools)
            uploads = [AudioFile(None, upload.file.read)]
        else:
            raise _not_taken(kind)
        yield uploads


async def _counted(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    too_large = PayloadTooLargeError(f"the body is larger than {max_bytes} bytes")
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised[:20]) > max_bytes:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk


def _not_taken(kind: str) -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(
        f"{kind or 'a body without a content type'} is not taken here; send multipart/form-data with the audio in the "
        f"part {FIELD!r}, or the audio itself as audio/wav, audio/flac, audio/ogg or audio/mpeg"
    )


async def _receive_raw(chunks: AsyncGenerator[bytes, None], spools: ExitStack) -> UploadFile:
    spool = spools.enter_context(SpooledTemporaryFile[bytes](max_size=MultiPartParser.spool_max_size))
    # UploadFile writes in a thread once the spool is on the disk.
    upload = UploadFile(cast(BinaryIO, spool), size=0)
    async for chunk in chunks:
        await upload.write(chunk)
    await upload.seek(0)
    return upload


class _Form(MultiPartParser):
    """Starlette's parser, less trusting: a form that breaks off is no whole one, and names are UTF-8."""

    def __init__(self, headers: Headers, chunks: AsyncGenerator[bytes, None], max_files: int) -> None:
        super().__init__(
            headers,
            self._until_end(chunks),
            max_files=max_files,
            max_fields=_MAX_TEXT_PARTS,
            max_part_size=_MAX_TEXT_PART_BYTES,
        )
        self._ended = False

    def on_end(self) -> None:
        self._ended = True

    async def _until_end(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        # After the content type has been read and before a part is: RFC 7578, section 5.1.2, knows no other character set
        # for names, and some that Python knows raise errors, or make half a character that no JSON can hold.
        self._charset = "utf-8"
        async for chunk in chunks:
            yield chunk
        if not self._ended:
            raise MalformedMultipartError("the form breaks off before its last boundary")


async def _receive_form(
    headers: Headers, chunks: AsyncGenerator[bytes, None], max_files: int, spools: ExitStack
) -> list[AudioFile]:
    try:
        parts = (await _Form(headers, chunks, max_files).parse()).multi_items()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise TooManyFilesError(f"a request may hold {max_files} files") from error
        if error.message.startswith(("Too many fields", "Part exceeded")):
            raise FieldError(f"every part of the form must be a file called {FIELD!r}; there are others") from error
        raise MalformedMultipartError(f"the multipart body cannot be read: {error.message}") from error
    for _, value in parts:
        if isinstance(value, UploadFile):
            spools.callback(value.file.close)
    if not parts:
        raise MissingFileError(f"the form has no part; send the audio in the part {FIELD!r}")
    return [_checked(name, value) for name, value in parts]


def _checked(name: str, value: UploadFile | str) -> AudioFile:
    """The file of a part; one that is not called `file`, or is no file, is refused when it is read, as that part alone."""
    if not isinstance(value, UploadFile):
        return _refused(None, f"the part {name!r} is text, not a file; with curl, write -F {FIELD}=@NAME")
    if name != FIELD:
        return _refused(value.filename, f"the part {name!r} of the form is not called {FIELD!r}")
    return AudioFile(value.filename, value.file.read)


def _refused(filename: str | None, reason: str) -> AudioFile:
    def read() -> bytes:
        raise FieldError(reason)

    return AudioFile(filename, read)
