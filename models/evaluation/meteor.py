"""METEOR by the program of its authors, which comes with pycocoevalcap and runs in Java: one process for all captions.

Denkowski & Lavie 2014, "Meteor Universal". The program is spoken to as pycocoevalcap's own wrapper does (SCORE and EVAL
lines, `-norm`), so figures are those of the field; but that wrapper waits for ever for an answer that does not come, and
leaves the process to the garbage collector.
"""

import importlib.util
import math
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from models.evaluation.caption_metrics import CaptionSet, MetricMissingError

_JAR = "meteor-1.5.jar"
_MODE = ("-", "-", "-stdio", "-l", "en", "-norm")
_JAVA = ("-Xmx2G", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US")
"""Whatever the machine's language: captions in UTF-8, figures with a point."""
_START_S, _CAPTION_S = 300.0, 0.1
"""What reading its tables, and each caption, may take; measured on two busy cores: 6 to 50 s, and 0.001 s."""


def score_meteor(sets: Sequence[CaptionSet]) -> list[float]:
    """METEOR of each set of captions as a whole: of all their counts together, not the mean over captions.

    Raises:
        MetricMissingError: there is no Java, or the program is not there or does not answer.
    """
    java, folder = shutil.which("java"), _folder()
    if java is None:
        raise MetricMissingError("it runs in Java, which is not on the PATH")
    if not (folder / _JAR).is_file():
        raise MetricMissingError(f"{_JAR} is not in the installed pycocoevalcap")
    limit_s = _START_S + _CAPTION_S * sum(len(one.captions) for one in sets)
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as complaints:
        try:
            with _running([java, *_JAVA, "-jar", _JAR, *_MODE], folder, complaints, limit_s) as program:
                return [program.score(one) for one in sets]
        except (OSError, ValueError) as error:
            complaints.seek(0)
            raise MetricMissingError(f"{_JAR} gave no figure: {complaints.readline().strip() or error}") from error


def _folder() -> Path:
    """Where pycocoevalcap keeps the program and its tables, found without importing it."""
    spec = importlib.util.find_spec("pycocoevalcap")
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places or ["."]))) / "meteor"


class _Program:
    """The running program: a line in, a line out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._questions, self._answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)

    def score(self, captions: CaptionSet) -> float:
        """Have each caption counted, then all counts made into one figure, which comes after one for each caption.

        Raises:
            OSError: the program is gone.
            ValueError: it answers nothing, or something else.
        """
        counts = [
            self._ask(["SCORE", *references, caption])
            for caption, references in zip(captions.captions, captions.references, strict=True)
        ]
        figures = [self._ask(["EVAL", *counts]), *(self._answer() for _ in counts)]
        figure = float(figures[-1])
        if not math.isfinite(figure):
            raise ValueError(f"it answered {figures[-1]}")
        return figure

    def _ask(self, parts: Sequence[str]) -> str:
        self._questions.write(f"{' ||| '.join(parts)}\n")
        self._questions.flush()
        return self._answer()

    def _answer(self) -> str:
        answer = self._answers.readline().strip()
        if not answer:
            raise ValueError("it ended, or took too long")
        return answer


@contextmanager
def _running(command: Sequence[str], folder: Path, complaints: IO[str], limit_s: float) -> Iterator[_Program]:
    """The program while the block runs, for `limit_s` at most; ended and waited for in any case."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, encoding="utf-8"
    ) as process:
        # A read cannot be given a limit of its own; that of a program that was killed ends at once.
        limit = threading.Timer(limit_s, process.kill)
        limit.start()
        try:
            yield _Program(process)
        finally:
            limit.cancel()
            process.kill()
