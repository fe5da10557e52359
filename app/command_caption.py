"""`diffusion-link caption`: the service's engine without a service, on files of this machine."""

import asyncio
import json
import logging
import os
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.bodies import captioned_file
from app.captioning import AudioFile
from app.engine import Engine
from app.errors import detail_of
from app.loading import load_pipeline
from app.schemas import CaptionedFile, CaptionOptions, ErrorDetail
from app.settings import ServiceSettings
from app.ticket import Ticket
from app.times import StageTimes
from models.errors import AudioError, AudioTooLongError, UnreadableAudioError
from models.pipeline import Pipeline

FAILED_STATUS = 1
"""Exit status where a file could not be captioned."""
_FILES_AT_ONCE = 16
_MAX_FILE_BYTES = 1024**3

Outcome = CaptionedFile | ErrorDetail

_log = logging.getLogger(__name__)


def caption(paths: Sequence[str], options: CaptionOptions, settings: ServiceSettings, *, as_json: bool) -> int:
    """Caption files and print what they are; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there or too small, or cannot do what was asked of it.
    """
    pipeline = load_pipeline(settings)
    outcomes = asyncio.run(_print_all(pipeline, paths, options, settings, as_json=as_json))
    return FAILED_STATUS if any(isinstance(outcome, ErrorDetail) for outcome in outcomes) else 0


async def _print_all(
    pipeline: Pipeline, paths: Sequence[str], options: CaptionOptions, settings: ServiceSettings, *, as_json: bool
) -> list[Outcome]:
    """Print a JSON line as soon as each file is done, or all of them as one table."""
    outcomes: list[Outcome] = []
    stderr = Console(stderr=True)
    columns = ("captioning", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=as_json or not stderr.is_terminal) as progress:
        task = progress.add_task("", total=len(paths))
        async for outcome in caption_files(pipeline, paths, options, settings):
            if as_json:
                sys.stdout.write(json.dumps(_json_line(paths[len(outcomes)], outcome)) + "\n")
                sys.stdout.flush()
            outcomes.append(outcome)
            progress.advance(task)
    if not as_json:
        Console().print(_table(paths, outcomes))
    return outcomes


async def caption_files(
    pipeline: Pipeline, paths: Sequence[str], options: CaptionOptions, settings: ServiceSettings
) -> AsyncIterator[Outcome]:
    """Caption files, several at once, in their order; a file that cannot be used is an ErrorDetail."""
    engine = Engine(pipeline, settings)
    engine.start()
    try:
        at_once = min(_FILES_AT_ONCE, settings.queue_capacity)
        for start in range(0, len(paths), at_once):
            part = paths[start : start + at_once]
            for outcome in await asyncio.gather(*(_caption_file(engine, path, options) for path in part)):
                yield outcome
    finally:
        engine.close()


async def _caption_file(engine: Engine, path: str, options: CaptionOptions) -> Outcome:
    try:
        clip = await engine.caption(AudioFile(None, partial(_read, Path(path))), options, Ticket(), StageTimes())
    except AudioError as error:
        return detail_of(error)
    except OSError as error:
        return ErrorDetail(type="unreadable_file", message=error.strerror or str(error))
    except Exception as error:
        # Whatever it is, the other files are captioned.
        _log.exception("%s failed for no fault of its own", path)
        return detail_of(error)
    return captioned_file(None, clip, options)


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableAudioError("not a plain file")
    if status.st_size > _MAX_FILE_BYTES:
        raise AudioTooLongError(f"the file has {status.st_size} bytes; the most is {_MAX_FILE_BYTES}")
    return path.read_bytes()


def _json_line(path: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, ErrorDetail):
        return {"file": path, "error": outcome.model_dump()}
    return {"file": path, **outcome.model_dump(exclude_unset=True, exclude={"filename"})}


def _table(paths: Sequence[str], outcomes: Sequence[Outcome]) -> Table:
    table = Table("File", "Time", "Caption", "Score")
    for path, outcome in zip(paths, outcomes, strict=True):
        # Names are bytes, and need not be UTF-8.
        name = Text(os.fsencode(path).decode(errors="replace"))
        if isinstance(outcome, ErrorDetail):
            table.add_row(name, "", Text(outcome.message, style="red"), "")
            continue
        table.add_row(name, f"{outcome.duration_s:.1f} s", Text(outcome.caption), f"{outcome.score:.2f}")
        for candidate in (outcome.candidates or [])[1:]:
            table.add_row("", "", Text(candidate.caption, style="dim"), f"{candidate.score:.2f}")
        for entry in outcome.timeline or []:
            span = f"{entry.start_s:g}-{entry.end_s:.1f} s"
            table.add_row("", span, Text(entry.caption), f"{entry.score:.2f}")
    return table
