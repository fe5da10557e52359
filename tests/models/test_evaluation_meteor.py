"""METEOR's program: its golden value, and every way in which it can fail ends with a reason and without a process."""

import os
import shutil
from pathlib import Path

import pytest

from models.evaluation import meteor
from models.evaluation.caption_metrics import CaptionSet, MetricMissingError
from models.evaluation.meteor import score_meteor

_GOLDEN = CaptionSet(
    ["a man is speaking", "rain falls", "a dog barks twice"],
    [
        ["a man speaks", "someone is speaking"],
        ["rain is falling hard", "heavy rain falls on a roof"],
        ["a dog barks", "the dog is barking"],
    ],
)


@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR runs in Java")
def test_golden_value_of_pycocoevalcap_and_what_is_easily_wrong() -> None:
    perfect = CaptionSet([texts[0] for texts in _GOLDEN.references], _GOLDEN.references)
    silent = CaptionSet(["", "élan vital", "x"], [["a dog"], ["élan vital", ""], ["a cat"]])
    golden, best, half = score_meteor([_GOLDEN, perfect, silent])
    # What pycocoevalcap 1.2's own Meteor().compute_score gives; in it the stems of "speaking" and "speaks" meet.
    assert golden == pytest.approx(0.379439, abs=5e-7)
    assert best == 1.0
    assert 0.0 < half < 1.0


def _fake_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    java = tmp_path / "java"
    java.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


_ANSWERS = "while read -r line; do echo {0}; case $line in EVAL*) for one in 1 2 3; do echo {0}; done;; esac; done"
"""An answer to each question, and to the last of them one for each caption besides."""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo 'Error: no room for a heap' >&2", "gave no figure: Error: no room for a heap"),
        ("exit 0", "gave no figure: "),
        (_ANSWERS.format("many words"), "could not convert string to float: 'many words'"),
        (_ANSWERS.format("nan"), "it answered nan"),
    ],
)
def test_a_program_that_answers_otherwise_gives_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, reason: str
) -> None:
    _fake_java(tmp_path, monkeypatch, line)
    with pytest.raises(MetricMissingError, match=r"meteor-1\.5\.jar") as error:
        score_meteor([_GOLDEN])
    assert reason in str(error.value)


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "_START_S", 0.2)
    _fake_java(tmp_path, monkeypatch, f"echo $$ > {tmp_path / 'number'}", "exec /bin/sleep 60")
    with pytest.raises(MetricMissingError, match="took too long"):
        score_meteor([_GOLDEN])
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "number").read_text()), 0)


def test_without_java_or_its_program_it_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MetricMissingError, match="not on the PATH"):
        score_meteor([_GOLDEN])
    _fake_java(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setattr(meteor, "_folder", lambda: tmp_path)
    with pytest.raises(MetricMissingError, match="not in the installed pycocoevalcap"):
        score_meteor([_GOLDEN])
