"""What a doctor's check is: it looks at one thing, and finds it well or not, and says how to mend it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from app.settings import ServiceSettings

if TYPE_CHECKING:
    from models.pipeline import Reference

Level = Literal["ok", "warning", "wrong", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    level: Level
    found: str
    mend: str = ""
    """What to do about it; empty where there is nothing to be done."""


class Visit:
    """What the checks look at: flags and variables, and the settings that they make."""

    def __init__(self, flags: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        """Read the settings; where they are wrong, `fault` says so and `settings` are the defaults."""
        self.flags = flags
        self.environ = environ
        self.fault: ValidationError | None = None
        try:
            self.settings = ServiceSettings(**flags)
        except ValidationError as error:
            self.fault = error
            self.settings = ServiceSettings.model_construct()

    @property
    def artifact(self) -> Path:
        """The folder that would be served."""
        return self.settings.artifact_folder

    @cached_property
    def reference(self) -> "Reference | None":
        """The language model that the artifact refers to; looked at once, since all of its files are hashed."""
        from models.pipeline import inspect_reference

        return inspect_reference(self.artifact)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a doctor's report."""

    name: str
    look: Callable[[Visit], Finding]
    needs: tuple[str, ...] = ()
    """Checks that must not be wrong; else this one would only say the same again."""


def size_of(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
