"""`diffusion-link caption`: the service's engine without a service, on files of this machine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from app.bodies import captioned_file
from app.captioning import AudioFile
from app.engine import Engine
from app.loading import load_pipeline
from app.local_files import FAILED_STATUS, progress_bar, shown_name, work_on_files
from app.output import print_json, table_console
from app.schemas import CaptionedFile, CaptionOptions, ErrorDetail
from app.settings import ServiceSettings
from app.ticket import Ticket
from app.times import StageTimes
from models.pipeline import Pipeline

Outcome = CaptionedFile | ErrorDetail


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
    with progress_bar("captioning", hidden=as_json) as progress:
        task = progress.add_task("", total=len(paths))
        async for outcome in caption_files(pipeline, paths, options, settings):
            if as_json:
                print_json(_json_line(paths[len(outcomes)], outcome))
            outcomes.append(outcome)
            progress.advance(task)
    if not as_json:
        table_console().print(_table(paths, outcomes))
    return outcomes


async def caption_files(
    pipeline: Pipeline, paths: Sequence[str], options: CaptionOptions, settings: ServiceSettings
) -> AsyncIterator[Outcome]:
    """Caption files, several at once, in their order; a file that cannot be used is an ErrorDetail."""

    async def work(engine: Engine, file: AudioFile) -> CaptionedFile:
        return captioned_file(None, await engine.caption(file, options, Ticket(), StageTimes()), options)

    async for outcome in work_on_files(pipeline, paths, settings, work):
        yield outcome


def _json_line(path: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, ErrorDetail):
        return {"file": path, "error": outcome.model_dump()}
    return {"file": path, **outcome.model_dump(exclude_unset=True, exclude={"filename"})}


def _table(paths: Sequence[str], outcomes: Sequence[Outcome]) -> Table:
    table = Table(*(Column(name, overflow="fold") for name in ("File", "Time", "Caption", "Score")))
    for path, outcome in zip(paths, outcomes, strict=True):
        name = Text(shown_name(path))
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
