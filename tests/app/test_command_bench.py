"""What `diffusion-link bench` asks of the benchmark, and what it makes of its figures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import cli, command_bench

_FIGURES: dict[str, Any] = {
    "subject": {"model": "embedded", "device_name": "cpu"},
    "rows": [
        {"name": "peak", "unit": "req/s", "median": 123.4, "low": 99.5, "high": 130.0, "target": None, "met": None, "n": 1},
        {"name": "ratio", "unit": "", "median": 1.234, "low": 1.0, "high": 2.0, "target": "≥ 1", "met": True, "n": 1},
        {"name": "p99", "unit": "ms", "median": 60.0, "low": 60.0, "high": 60.0, "target": "≤ 50", "met": False, "n": 1},
    ],
    "requests": 1_000,
    "faults": {"overload: lost": 2},
    "wall_s": 100.4,
}


class _Ran:
    """Stands for the benchmark's process: writes what it would measure."""

    def __init__(self, status: int = 0, *, writes: bool = True) -> None:
        self.status, self.writes = status, writes
        self.command: list[str] = []
        self.folder = Path()
        self.told: list[str] = []

    def __call__(self, command: list[str], *, cwd: Path, stdout: int) -> "_Ran":
        self.command, self.folder = command, cwd
        assert stdout == subprocess.DEVNULL
        return self

    def wait(self) -> int:
        out = Path(self.command[self.command.index("--out") + 1])
        if self.writes:
            out.mkdir(parents=True, exist_ok=True)
            name = "serving-fake.json" if "--fake" in self.command else "serving.json"
            (out / name).write_text(json.dumps(_FIGURES), encoding="utf-8")
        return self.status

    def poll(self) -> int | None:
        return self.status

    def terminate(self) -> None:
        self.told.append("terminate")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> _Ran:
    process = _Ran()
    monkeypatch.setattr(subprocess, "Popen", process)
    return process


def test_one_round_of_the_embedded_artifact(ran: _Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--json"]) == 0
    assert ran.command[:3] == [sys.executable, "-m", "benchmarks.serving"]
    assert ran.command[3:-2] == ["--repeats", "1", "--memory-requests", "0", "--device", "cpu", "--artifact"]
    assert (ran.folder / "benchmarks" / "serving.py").is_file()
    *figures, verdict = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert figures[2] == {
        "figure": "p99",
        "median": 60.0,
        "low": 60.0,
        "high": 60.0,
        "unit": "ms",
        "target": "≤ 50",
        "met": False,
    }
    assert verdict == {
        "model": "embedded",
        "device": "cpu",
        "requests": 1_000,
        "faults": {"overload: lost": 2},
        "targets": 2,
        "targets_met": 1,
        "wall_s": 100.4,
        "written": None,
    }


def test_flags(
    ran: _Ran, tmp_path: Path, tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to(tiny_artifact)
    assert cli.main(["bench", "--full", "--fake", "20,2", "--out", "there"]) == 0
    assert ran.command[3:] == ["--fake", "20,2", "--out", str(tmp_path / "there")]
    assert f"Written to {tmp_path / 'there' / 'serving-fake.json'} and serving-fake.png" in capsys.readouterr().out
    assert cli.main(["bench", "--artifact", "mine", "--device", "auto"]) == 0
    assert ran.command[-6:-2] == ["--device", "auto", "--artifact", str(tmp_path / "mine")]


@pytest.mark.parametrize("width", [48, 120])
def test_a_table_that_loses_nothing(
    width: int, ran: _Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ran.status = 1
    assert cli.main(["bench"]) == 1
    out = capsys.readouterr().out
    assert "…" not in out
    assert "embedded on cpu" in out
    rows = [line for line in out.splitlines() if line.startswith("│")]
    assert max(map(len, rows)) <= width
    if width == 120:
        cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
        assert ["peak", "123", "99.5", "130", "req/s", "", ""] in cells
        assert ["ratio", "1.23", "1", "2", "", "≥ 1", "met"] in cells
        assert ["p99", "60", "60", "60", "ms", "≤ 50", "missed"] in cells
    assert "2 × overload: lost" in out
    assert "1000 requests, 2 of them lost or wrong, in 100 s\n1 of 2 targets met" in out


def test_a_benchmark_that_breaks(ran: _Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran.status, ran.writes = 1, False
    # What another run left there is not this one's.
    (tmp_path / "serving.json").write_text(json.dumps(_FIGURES), encoding="utf-8")
    assert cli.main(["bench", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out == ""
    ran.status = 0
    assert cli.main(["bench"]) == 1, "nothing was measured"


@pytest.mark.parametrize(
    ("flags", "error"),
    [(["--artifact", "none"], "none: is not a directory"), (["--device", "abacus"], "device 'abacus' is not")],
)
def test_what_cannot_be_measured_is_told_before(
    flags: list[str], error: str, ran: _Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"diffusion-link: {error}")
    assert ran.command == []


def test_ctrl_c_stops_what_was_started(ran: _Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []

    def wait() -> int:
        waits.append(1)
        if len(waits) == 1:
            raise KeyboardInterrupt
        return 130

    monkeypatch.setattr(ran, "wait", wait)
    monkeypatch.setattr(ran, "poll", lambda: None)
    assert cli.main(["bench"]) == 130
    assert (ran.told, len(waits)) == (["terminate"], 2)


def test_without_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command_bench, "_ROOT", tmp_path)
    assert cli.main(["bench"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"diffusion-link: the benchmarks are not beside this package ({tmp_path})")
    assert error.endswith("take a checkout of the repository, and there: pip install -e '.[bench]'\n")


def test_without_the_optional_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command_bench, "_ASKED", ("json", "no_such_package"))
    assert cli.main(["bench"]) == 2
    assert "measuring needs no_such_package: pip install -e '.[bench]'" in capsys.readouterr().err
