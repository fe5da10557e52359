"""`diffusion-link index`: embed every sound below a folder, once, into a file that `diffusion-link search` looks through."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from app.captioning import AudioFile
from app.engine import Engine
from app.loading import load_pipeline
from app.local_files import FAILED_STATUS, progress_bar, shown_name, work_on_files
from app.output import print_json
from app.schemas import ErrorDetail
from app.settings import ServiceSettings
from app.sound_index import IndexedArtifact, SoundIndex, SoundIndexError
from app.ticket import Ticket
from app.times import StageTimes
from models.pipeline import Pipeline

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_SEED = 0
"""Of the bridge's noise, for every sound: an index does not depend on the order of files."""
_SAVE_EVERY_S = 60.0
"""How much work may be lost when the process is killed; Ctrl-C loses none."""

Stamp = tuple[int, int]
"""Bytes of a file and nanoseconds of its last change: while both are the same, so are its sounds."""


@dataclass(slots=True)
class _Found:
    """What lies below the folder: files by name, with their stamps, and what could not be looked at, with the reason."""

    files: dict[str, Stamp] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Rows:
    """The index in the making."""

    artifact: IndexedArtifact
    folder: str
    dim: int
    rows: dict[str, tuple[Stamp, Float32[np.ndarray, " dim"]]]

    def save(self, path: Path) -> None:
        """Write what there is, in the order of names."""
        ordered = sorted(self.rows.items())
        stamps = np.array([stamp for _, (stamp, _) in ordered], dtype=np.int64).reshape(-1, 2)
        embeddings = np.array([row for _, (_, row) in ordered], dtype=np.float32).reshape(-1, self.dim)
        SoundIndex(self.artifact, self.folder, [name for name, _ in ordered], stamps, embeddings).save(path)


def index(folder: Path, output: Path, settings: ServiceSettings, *, as_json: bool = False) -> int:
    """Bring the index of a folder up to date and print what was done; returns the exit status.

    Raises:
        SoundIndexError: the folder holds no sound, or the index is another artifact's or another folder's.
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there or too small, or cannot do what was asked of it.
    """
    found = _find(folder)
    # The old index first: it is refused at once, before a model is loaded.
    old = SoundIndex.load(output) if output.exists() else None
    resolved = str(folder.resolve())
    if old is not None and old.folder != resolved:
        raise SoundIndexError(output, f"is the index of {shown_name(old.folder)}; choose another --output")
    pipeline = load_pipeline(settings)
    if old is not None:
        old.check_artifact(output, pipeline.manifest, pipeline.dim)
    rows = _Rows(IndexedArtifact.of(pipeline.manifest), resolved, pipeline.dim, _kept(old, found.files))
    kept = len(rows.rows)
    # Written before the work too, so that a path that cannot be written costs nobody an hour.
    rows.save(output)
    new = [name for name in sorted(found.files) if name not in rows.rows]
    faults = found.faults + asyncio.run(_embed(pipeline, new, found.files, rows, output, settings))
    for name, reason in faults:
        print(f"{shown_name(name)}: {reason}", file=sys.stderr)
    removed = 0 if old is None else len(set(old.names) - rows.rows.keys())
    counts = {"embedded": len(rows.rows) - kept, "unchanged": kept, "removed": removed}
    if as_json:
        failed = [{"file": name, "error": reason} for name, reason in faults]
        print_json({"index": str(output), "sounds": len(rows.rows), **counts, "failed": failed})
    else:
        print(f"{output}: {len(rows.rows)} sounds ({', '.join(f'{count} {what}' for what, count in counts.items())})")
    if faults:
        print(f"{len(faults)} could not be used", file=sys.stderr)
    return FAILED_STATUS if faults else 0


async def _embed(
    pipeline: Pipeline,
    names: Sequence[str],
    stamps: Mapping[str, Stamp],
    rows: _Rows,
    output: Path,
    settings: ServiceSettings,
) -> list[tuple[str, str]]:
    """Embed files into `rows`, and save them now and then, and whatever happens; gives those that failed, and why."""

    async def work(engine: Engine, file: AudioFile) -> Float32[np.ndarray, " dim"]:
        clip = await engine.embed(file, _SEED, Ticket(), StageTimes())
        # A copy: a view of it would keep the embeddings of all its windows.
        embedding: Float32[np.ndarray, " dim"] = clip.embedded.bridged[0].copy()
        return embedding

    faults, saved_s, waiting = [], time.monotonic(), iter(names)
    paths = [os.path.join(rows.folder, name) for name in names]  # noqa: PTH118, a name is bytes
    try:
        with progress_bar("embedding") as progress:
            task = progress.add_task("", total=len(names))
            async for outcome in work_on_files(pipeline, paths, settings, work):
                name = next(waiting)
                if isinstance(outcome, ErrorDetail):
                    faults.append((name, outcome.message))
                else:
                    rows.rows[name] = stamps[name], outcome
                progress.advance(task)
                if time.monotonic() - saved_s > _SAVE_EVERY_S:
                    rows.save(output)
                    saved_s = time.monotonic()
    finally:
        rows.save(output)
    return faults


def _kept(old: SoundIndex | None, files: Mapping[str, Stamp]) -> dict[str, tuple[Stamp, Float32[np.ndarray, " dim"]]]:
    """The rows of files that are as they were."""
    if old is None:
        return {}
    rows = (
        (name, (int(stamp[0]), int(stamp[1])), row)
        for name, stamp, row in zip(old.names, old.stamps, old.embeddings, strict=True)
    )
    return {name: (stamp, row) for name, stamp, row in rows if files.get(name) == stamp}


def _find(folder: Path) -> _Found:
    """Find the sounds by their names' endings; hidden files and folders are left out, and links to folders not followed.

    Raises:
        SoundIndexError: there is no such folder, or no sound below it.
    """
    if not folder.is_dir():
        raise SoundIndexError(folder, "is not a folder")
    found = _Found()
    for path in _sound_paths(folder, found):
        name = str(path.relative_to(folder))
        try:
            status = path.stat()
        except OSError as error:
            found.faults.append((name, str(error.strerror)))
        else:
            found.files[name] = status.st_size, status.st_mtime_ns
    if not found.files and not found.faults:
        raise SoundIndexError(folder, f"holds no file that ends in {', '.join(SUFFIXES)}")
    return found


def _sound_paths(folder: Path, found: _Found) -> Iterator[Path]:
    def on_error(error: OSError) -> None:
        found.faults.append((os.path.relpath(error.filename, folder), str(error.strerror)))

    for parent, folders, files in os.walk(folder, onerror=on_error):
        # Hidden ones are what other programs put beside sounds, such as the "._name.wav" of macOS.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)
