"""Where released models come from: a folder, or an id of the Hugging Face hub with a revision.

Nothing here runs code from what it fetches, and pickled weights are not fetched.
"""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

from models.errors import SourceError

_TEXT_SUFFIXES, _WEIGHT_SUFFIXES = (".json", ".txt", ".model", ".jinja"), (".safetensors",)
MODEL_SUFFIXES = frozenset(_TEXT_SUFFIXES + _WEIGHT_SUFFIXES)
"""Of the files that a released model is read from: settings, tokenizer, chat template; weights."""


@dataclass(frozen=True, slots=True)
class Source:
    """A released model on this machine."""

    name: str
    """The folder or hub id that was asked for."""
    revision: str | None
    """Commit of the hub; nothing for a folder."""
    folder: Path


def fetch_source(name: str, revision: str | None = None, *, weights: bool = True, offline: bool = False) -> Source:
    """Find a folder, or download a hub repository, or take it from the hub's cache (`HF_HUB_OFFLINE=1`: from it alone).

    Without `weights`, settings and tokenizer are downloaded alone; `offline`, nothing is.

    Raises:
        SourceError: there is no such folder, and the hub does not give it either; or a folder was asked for by revision.
    """
    folder = Path(name)
    if _is_folder(folder):
        if revision is not None:
            raise SourceError(f"{name} is a folder, which has no revision {revision!r}")
        return Source(name, None, folder)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise SourceError(f"{name}: no such folder")
    patterns = [f"*{suffix}" for suffix in _TEXT_SUFFIXES + (_WEIGHT_SUFFIXES if weights else ())]
    try:
        found = Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=offline))
    # The hub's client raises its own errors, those of its HTTP library, and ValueError for a name that is none.
    except Exception as error:
        raise SourceError(f"{name}: neither a folder nor to be had from the hub: {error}") from error
    return Source(name, found.name, found)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long for a path, or what leads there may not be read
        return False
