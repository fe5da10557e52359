"""What is installed, set and there: each fault is told, with what mends it."""

import builtins
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import models.audio
import models.pipeline
from app import doctor_machine
from app.doctor import Visit
from app.doctor_machine import (
    check_audio,
    check_device,
    check_packages,
    check_python,
    check_settings,
    check_threads,
    check_torch,
)
from models.errors import DeviceError
from models.pipeline import TorchFacts

_VISIT = Visit({}, {})


def _requires(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: list(lines))


def _torch(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    usual = {"version": "2.9", "built_for": None, "gpus": (), "driver": False, "fault": "", "threads": 1}
    monkeypatch.setattr(models.pipeline, "inspect_torch", lambda: TorchFacts(**(usual | facts)))


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_python(_VISIT)
    assert (found.level, found.found.split()[0]) == ("ok", platform.python_version())
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.2")
    found = check_python(_VISIT)
    assert (found.level, found.mend) == ("wrong", "install this package with a Python >=3.11")
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0rc1")
    assert check_python(_VISIT).level == "ok"


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_packages(_VISIT).level == "ok"
    _requires(monkeypatch, "numpy>=1", "no-such-a>=2; extra == 'dev'", "no-such-b; python_version < '3'")
    assert check_packages(_VISIT).found.endswith(", 1 requirements met")
    _requires(monkeypatch, "numpy>=999", "no-such-a>=2", "pydantic")
    found = check_packages(_VISIT)
    assert found.level == "wrong"
    assert found.found == f"numpy is {metadata.version('numpy')}, needed is >=999; no-such-a is missing"
    assert found.mend == "pip install 'numpy>=999' 'no-such-a>=2'"
    _requires(monkeypatch, "!!")
    assert check_packages(_VISIT).mend == "install this package again"


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_settings(_VISIT).found == "0 variables, all else is as by default"
    found = check_settings(Visit({}, {"DIFFUSION_LINK_PORT": "1", "PATH": ""}))
    assert (found.level, found.found) == ("ok", "1 variables: DIFFUSION_LINK_PORT")
    found = check_settings(Visit({}, {"DIFFUSION_LINK_PROT": "1"}))
    assert (found.level, found.mend) == ("warning", "write DIFFUSION_LINK_PORT for DIFFUSION_LINK_PROT")
    assert check_settings(Visit({}, {"DIFFUSION_LINK_QQQQQ": "1"})).mend.startswith("unset it")
    assert check_settings(Visit({}, {"DIFFUSION_LINK_AAC_PYTHON": "python"})).level == "ok"
    monkeypatch.setenv("DIFFUSION_LINK_MAX_FILES", "none")
    found = check_settings(Visit({"port": -1}, {}))
    assert found.level == "wrong"
    assert "--port: Input should be" in found.found
    assert "DIFFUSION_LINK_MAX_FILES: Input should be" in found.found


def test_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    _torch(monkeypatch)
    assert check_torch(_VISIT).found == "2.9, built for the CPU, sees no GPU"
    _torch(monkeypatch, built_for="13.0", gpus=("H100", "H200"))
    assert check_torch(_VISIT).found == "2.9, built for CUDA 13.0, sees H100, H200"


@pytest.mark.parametrize("check", [check_torch, check_audio])
def test_what_cannot_be_imported(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *arguments: Any, **others: Any) -> Any:
        if name in ("models.pipeline", "models.audio"):
            raise OSError("a library is not there")
        return real(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", broken)
    found = check(_VISIT)
    assert (found.level, "a library is not there" in found.found, "install" in found.mend) == ("wrong", True, True)


@pytest.mark.parametrize(
    ("facts", "reason", "mend"),
    [
        ({}, "torch was built without CUDA", "install torch's build for CUDA"),
        ({"built_for": "13.0"}, "this machine has no driver", "--gpus all"),
        ({"built_for": "13.0", "driver": True, "fault": "driver too old"}, "driver too old", "for an older CUDA than 13.0"),
        ({"built_for": "13.0", "driver": True, "fault": "error 802"}, "error 802", "nvidia-smi"),
        ({"built_for": "13.0", "driver": True}, "torch sees no GPU", "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_why_there_is_no_gpu(facts: dict[str, Any], reason: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise DeviceError("no cuda")

    _torch(monkeypatch, **facts)
    if facts.get("driver"):
        found = check_device(_VISIT)
        assert (found.level, reason in found.found, mend in found.mend) == ("warning", True, True)
    monkeypatch.setattr(models.pipeline, "inspect_device", missing)
    found = check_device(Visit({"device": "cuda"}, {}))
    assert (found.level, found.found.startswith("no cuda; "), reason in found.found) == ("wrong", True, True)
    assert mend in found.mend
    assert found.mend.endswith("; or take --device cpu")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    _torch(monkeypatch)
    found = check_device(_VISIT)
    assert (found.level, found.found.startswith("auto is cpu")) == ("ok", True)
    found = check_device(Visit({"device": "abacus"}, {}))
    assert (found.level, found.mend) == ("wrong", "take --device auto and --precision auto")
    _torch(monkeypatch, built_for="13.0", driver=True, gpus=("H100",))
    assert check_device(_VISIT).level == "ok"


def test_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(doctor_machine, "_QUOTA_FILE", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    _torch(monkeypatch, threads=4)
    found = check_threads(_VISIT)
    assert (found.level, found.found) == ("ok", "4 for one computation, 4 cores")
    quota.write_text("200000 100000\n")
    found = check_threads(_VISIT)
    assert (found.level, found.mend) == ("warning", "set DIFFUSION_LINK_CPU_THREADS=2")
    assert found.found.endswith("of which a container may use 2")
    assert check_threads(Visit({"cpu_threads": 2}, {})).level == "ok"
    for text in ("max 100000\n", "", "1 0\n"):
        quota.write_text(text)
        assert check_threads(_VISIT).level == "ok", text
    assert check_threads(Visit({"cpu_threads": 5}, {})).mend == "set DIFFUSION_LINK_CPU_THREADS=4"


def test_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_audio(_VISIT)
    assert (found.level, found.found.endswith("reads WAV, FLAC, OGG, MP3")) == ("ok", True)
    monkeypatch.setattr(models.audio, "libsndfile_formats", lambda: ("1.0.31", ["WAV", "FLAC", "OGG"]))
    found = check_audio(_VISIT)
    assert (found.level, found.found) == ("warning", "libsndfile 1.0.31 reads WAV, FLAC, OGG, and no MP3")
    monkeypatch.setattr(models.audio, "libsndfile_formats", lambda: ("1.0.31", ["WAV", "OGG"]))
    assert check_audio(_VISIT).level == "wrong"
