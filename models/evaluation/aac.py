"""SPICE and FENSE by aac-metrics, in another Python: it wants a transformers below 5, and this package one from 5 on.

    python -m venv aac && aac/bin/pip install aac-metrics==0.5.5 && aac/bin/aac-metrics-download
    export DIFFUSION_LINK_AAC_PYTHON=$PWD/aac/bin/python

SPICE needs Java 8 to 13 besides. `aac_program` is what runs there; it downloads nothing.
"""

import contextlib
import json
import math
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from models.evaluation.caption_metrics import CaptionSet

PYTHON_VARIABLE = "DIFFUSION_LINK_AAC_PYTHON"
METRICS = ("spice", "fense")
_LIMIT_S = 3600.0
"""For all captions together; SPICE's parser is known to hang."""


class AacScores(NamedTuple):
    """What could be computed, a figure a set, and why the rest could not."""

    figures: dict[str, list[float]]
    reasons: dict[str, str]


def score_aac(sets: Sequence[CaptionSet]) -> AacScores:
    """SPICE and FENSE of each set of captions: means over its captions."""
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        return _nothing(f"it needs aac-metrics in a Python of its own, and {PYTHON_VARIABLE} names none")
    question = json.dumps({"metrics": METRICS, "sets": [one._asdict() for one in sets]})
    try:
        answer = _ask(python, question)
    except OSError as error:
        return _nothing(f"the Python that {PYTHON_VARIABLE} names cannot be run ({error.strerror})")
    except subprocess.TimeoutExpired:
        return _nothing(f"aac-metrics took more than {_LIMIT_S:.0f} s")
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no word"])[-1]
        return _nothing(f"aac-metrics cannot be used: {last}")
    return _read(answer.stdout, len(sets))


def _ask(python: str, question: str) -> subprocess.CompletedProcess[str]:
    """Run the program; whatever ends it, the Java that SPICE has started ends with it."""
    with subprocess.Popen(
        [python, Path(__file__).with_name("aac_program.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"},
        start_new_session=True,
    ) as program:
        try:
            output, complaints = program.communicate(question, timeout=_LIMIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(program.args, program.returncode, output, complaints)


def _nothing(reason: str) -> AacScores:
    return AacScores({}, dict.fromkeys(METRICS, reason))


def _read(output: str, count: int) -> AacScores:
    """What the program printed. SPICE can be no number, where its parser finds nothing in any caption."""
    try:
        answer: dict[str, dict[str, Any]] = json.loads(output)
    except ValueError:
        return _nothing(f"what {PYTHON_VARIABLE} names is no Python: it did not answer")
    scores = AacScores({}, {})
    for name in METRICS:
        figures = answer[name].get("figures")
        if figures is None:
            scores.reasons[name] = answer[name]["reason"]
        elif all(map(math.isfinite, figures)) and len(figures) == count:
            scores.figures[name] = figures
        else:
            scores.reasons[name] = "aac-metrics did not give a number for every set of captions"
    return scores
