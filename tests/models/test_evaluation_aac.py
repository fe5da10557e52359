"""SPICE and FENSE in another Python: the real program runs, around an aac-metrics that is made up."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.evaluation import aac
from models.evaluation.aac import METRICS, PYTHON_VARIABLE, score_aac
from models.evaluation.caption_metrics import CaptionSet

_SETS = [CaptionSet(["a dog", "élan"], [["a dog", "dogs"], ["vital"]]), CaptionSet(["rain"], [["it rains"]])]
_METRIC = """
import socket

print("words that are no answer")

class {name}:
    def __init__(self, return_all_scores, **settings):
        assert return_all_scores is False
        {at_start}

    def __call__(self, captions, references):
        {at_call}
"""


@pytest.fixture
def other_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This Python, as the one that has aac-metrics: its two metrics are 2 for each caption, and 3 for each reference."""
    package = tmp_path / "aac_metrics" / "classes"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    _write(package, "SPICE", at_call="return 2 * len(captions)")
    _write(package, "FENSE", at_call="return 3 * sum(map(len, references))")
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return package


def _write(package: Path, name: str, at_start: str = "pass", at_call: str = "return 1.0") -> None:
    text = _METRIC.format(name=name, at_start=at_start, at_call=at_call)
    (package / f"{name.lower()}.py").write_text(text, encoding="utf-8")


def test_a_figure_for_each_set_and_nothing_printed(other_python: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert score_aac(_SETS) == ({"spice": [4.0, 2.0], "fense": [9.0, 3.0]}, {})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"at_start": "open('/nowhere/file')"}, "its files are not here: aac-metrics-download fetches them"),
        ({"at_start": "socket.create_connection(('127.0.0.1', 9))"}, "its files are not here"),
        ({"at_start": "raise RuntimeError('Invalid Java\\nmore')"}, "aac-metrics failed: RuntimeError: Invalid Java"),
        ({"at_call": "return float('nan')"}, "did not give a number for every set of captions"),
        ({"at_call": "return len(captions) / 0"}, "ZeroDivisionError"),
    ],
)
def test_one_metric_that_fails_leaves_the_other(other_python: Path, fault: dict[str, str], reason: str) -> None:
    _write(other_python, "FENSE", **fault)
    figures, reasons = score_aac(_SETS)
    assert figures == {"spice": [4.0, 2.0]}
    assert list(reasons) == ["fense"]
    assert reason in reasons["fense"]
    assert "more" not in reasons["fense"]


def test_whatever_java_may_print_the_figures_are_read(other_python: Path) -> None:
    _write(other_python, "SPICE", at_call="import os; os.write(2, bytes([0xE9, 0xFF])); return 1.0")
    assert score_aac(_SETS).figures["spice"] == [1.0, 1.0]


def test_our_own_modules_are_not_taken_for_those_of_others(other_python: Path) -> None:
    # models/evaluation/clips.py lies beside the program.
    (other_python.parents[1] / "clips.py").write_text("VALUE = 5.0\n", encoding="utf-8")
    _write(other_python, "SPICE", at_call="import clips; return clips.VALUE")
    assert score_aac(_SETS).figures["spice"] == [5.0, 5.0]


@pytest.mark.parametrize(
    ("python", "reason"),
    [("", "names none"), ("/nowhere/python", "No such file"), ("/bin/true", "is no Python"), ("/bin/false", "no word")],
)
def test_without_another_python_both_are_left_out(monkeypatch: pytest.MonkeyPatch, python: str, reason: str) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, python)
    figures, reasons = score_aac(_SETS)
    assert figures == {}
    assert list(reasons) == list(METRICS)
    assert all(reason in text for text in reasons.values())


def test_a_python_without_aac_metrics_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    reasons = score_aac(_SETS).reasons
    assert reasons["spice"] == "aac-metrics cannot be used: ModuleNotFoundError: No module named 'aac_metrics'"


def test_one_that_hangs_is_ended_with_what_it_has_started(
    other_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    _write(other_python, "SPICE", at_call=f"import subprocess; subprocess.run(['sh', '-c', 'exec sleep 60 > {alive}'])")
    with ThreadPoolExecutor() as pool:
        # Ends when the last process has closed its end.
        end = pool.submit(alive.read_bytes)
        monkeypatch.setattr(aac, "_LIMIT_S", 3.0)
        assert score_aac(_SETS).reasons == dict.fromkeys(METRICS, "aac-metrics took more than 3 s")
        assert end.result(timeout=10) == b""
