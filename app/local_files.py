"""What the commands do with sound files of this machine: the service's engine without a service, several files at once.

A file that cannot be used is an ErrorDetail in its place, whatever is wrong with it: the others are worked on.
"""

import asyncio
import logging
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from app.captioning import AudioFile
from app.engine import Engine
from app.errors import detail_of
from app.schemas import ErrorDetail
from app.settings import ServiceSettings
from models.errors import AudioError, AudioTooLongError, UnreadableAudioError
from models.pipeline import Pipeline

T = TypeVar("T")

FAILED_STATUS = 1
"""Exit status where a file could not be used."""
_FILES_AT_ONCE = 16
_MAX_FILE_BYTES = 1024**3

_log = logging.getLogger(__name__)


async def work_on_files(
    pipeline: Pipeline,
    paths: Sequence[str],
    settings: ServiceSettings,
    work: Callable[[Engine, AudioFile], Awaitable[T]],
) -> AsyncIterator[T | ErrorDetail]:
    """Give what `work` makes of each file, in the order of the files."""
    engine = Engine(pipeline, settings)
    engine.start()
    try:
        at_once = min(_FILES_AT_ONCE, settings.queue_capacity)
        for start in range(0, len(paths), at_once):
            part = paths[start : start + at_once]
            for outcome in await asyncio.gather(*(_attempt(engine, path, work) for path in part)):
                yield outcome
    finally:
        engine.close()


def progress_bar(name: str, *, hidden: bool = False) -> Progress:
    """A bar on standard error, which a terminal alone shows."""
    console = Console(stderr=True)
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal)


def shown_name(path: str) -> str:
    """A file's name as text: names are bytes, and need not be UTF-8."""
    return os.fsencode(path).decode(errors="replace")


async def _attempt(engine: Engine, path: str, work: Callable[[Engine, AudioFile], Awaitable[T]]) -> T | ErrorDetail:
    try:
        return await work(engine, AudioFile(None, partial(_read, Path(path))))
    except AudioError as error:
        return detail_of(error)
    except OSError as error:
        return ErrorDetail(type="unreadable_file", message=error.strerror or str(error))
    except Exception as error:
        _log.exception("%s failed for no fault of its own", path)
        return detail_of(error)


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableAudioError("not a plain file")
    if status.st_size > _MAX_FILE_BYTES:
        raise AudioTooLongError(f"the file has {status.st_size} bytes; the most is {_MAX_FILE_BYTES}")
    return path.read_bytes()
