"""Where the stages of a training keep what they make: one folder a stage, finished output all or nothing.

A stage's own folder (work/bridge) holds its settings, log and checkpoint; what later stages read (work/bridge/model)
appears at once, when it is finished.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.checksum import sha256_of
from models.errors import TrainingError

LOG_FILE = "log.jsonl"
SETTINGS_FILE = "settings.json"
_MAKER = {
    "corpus": "corpus",
    "clap/model": "train-clap",
    "embeddings": "embed",
    "bridge/model": "train-bridge",
    "decoder/model": "train-decoder",
    "artifact": "export",
}
"""The command that makes each finished folder."""


def finished(work: Path, folder: str) -> Path:
    """The finished folder of an earlier stage.

    Raises:
        TrainingError: it is not there; the message names the command that makes it.
    """
    directory = work / folder
    if not directory.is_dir():
        other = f", or `diffusion-link convert clap SOURCE {directory}`" if folder == "clap/model" else ""
        maker = f"`diffusion-link {_MAKER[folder]}` with this recipe first{other}"
        raise TrainingError(f"{directory} is missing: run {maker}")
    return directory


def scenes_fingerprint(work: Path, split: str) -> str:
    """One sha256 over the records and spectrograms of one split of the corpus.

    Raises:
        TrainingError: they are not there.
    """
    directory = finished(work, "corpus") / split
    paths = [directory / "scenes.jsonl", directory / "log_mel.npy"]
    if not all(path.is_file() for path in paths):
        raise TrainingError(f"{directory} holds no scenes: run `diffusion-link corpus` with this recipe first")
    return fingerprint(paths)


def begin_stage(directory: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Prepare a stage's folder: empty for a fresh run; for a resumed one, of the same settings and inputs.

    Without this check a resumed run would go on from a checkpoint of other settings, and end with weights that no
    recipe describes.

    Raises:
        TrainingError: the folder holds an earlier run that is not to be resumed, or one that was begun with other settings
            or on other data, or does not say with which.
    """
    path, text = directory / SETTINGS_FILE, json.dumps(settings, indent=2, sort_keys=True) + "\n"
    if resume and path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise TrainingError(
                f"{directory} was begun with other settings or data than the recipe's now ({path}): remove it to begin anew"
            )
        return
    if directory.exists() and set(directory.iterdir()) - {_unfinished(path)}:
        # Hours of training must not go with one forgotten flag.
        reason = "does not say what it was begun with" if resume else "holds an earlier run; --resume goes on with it"
        raise TrainingError(f"{directory} {reason}: remove it to begin anew")
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is complete or not there: a kill in between leaves nothing that a resumed run could mistake."""
    _unfinished(path).write_text(text, encoding="utf-8")
    _unfinished(path).replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def begun_with(directory: Path) -> dict[str, Any]:
    """The settings and inputs that a stage's folder was begun with.

    Raises:
        TrainingError: the folder does not say.
    """
    path = directory / SETTINGS_FILE
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    return content


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """A new folder beside `directory`, which takes its place when the block ends without an error."""
    new, old = (directory.with_name(f"{directory.name}.{suffix}") for suffix in ("new", "old"))
    # A run that was killed between its two renames has left what it was to replace under the name `old`.
    if old.exists() and not directory.exists():
        old.rename(directory)
    for leftover in (new, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    new.mkdir(parents=True)
    yield new
    if directory.exists():
        directory.rename(old)
    new.rename(directory)
    if old.exists():
        shutil.rmtree(old)


def fingerprint(paths: Iterable[Path]) -> str:
    """One sha256 over the content of files, in the order of their names: what a later stage was made from.

    Raises:
        TrainingError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        try:
            digest.update(path.name.encode() + b"\0" + bytes.fromhex(sha256_of(path)))
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def append_log(directory: Path, line: Mapping[str, Any]) -> None:
    """Add one JSON line to a stage's log."""
    with (directory / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
