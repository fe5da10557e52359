"""What torch, devices and references are said to be, by what torch and the hub say."""

import warnings
from pathlib import Path

import pytest
import torch

from models import inspection
from models.decoder.reference import LanguageModelReference, write_reference
from models.errors import DeviceError
from models.hub import Source
from models.inspection import inspect_device, inspect_reference, inspect_torch


def _gpus(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: names[getattr(index, "index", index)])


def _driver(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(inspection, "_DRIVERS", (path,))


def test_a_build_for_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _gpus(monkeypatch)
    _driver(monkeypatch, tmp_path)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "init", lambda: pytest.fail("was asked"))
    facts = inspect_torch()
    assert (facts.version, facts.threads) == (torch.__version__, torch.get_num_threads())
    assert (facts.built_for, facts.gpus, facts.driver, facts.fault) == (None, (), True, "")


def test_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _gpus(monkeypatch, "H100", "H200")
    _driver(monkeypatch, tmp_path / "none")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    facts = inspect_torch()
    assert (facts.built_for, facts.gpus, facts.driver, facts.fault) == ("13.0", ("H100", "H200"), False, "")


def test_why_no_gpu_can_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def init() -> None:
        warnings.warn("the driver is old", stacklevel=1)
        raise RuntimeError("The NVIDIA driver is too old" + "!" * 1_000 + "\nA second line.")

    _gpus(monkeypatch)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", init)
    _driver(monkeypatch, tmp_path)
    assert inspect_torch().fault == ("The NVIDIA driver is too old" + "!" * 1_000)[:300]
    _driver(monkeypatch, tmp_path / "none")
    assert inspect_torch().fault == "", "without a driver there is nothing to ask"


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    _gpus(monkeypatch)
    assert inspect_device("auto", "auto") == ("cpu, fp32", None)
    assert inspect_device("cpu", "bf16") == ("cpu, bf16", None)
    with pytest.raises(DeviceError, match="device cuda is not available"):
        inspect_device("cuda", "auto")
    _gpus(monkeypatch, "H100", "H200")
    monkeypatch.setattr(inspection, "available_bytes", lambda device: 7 + device.index)
    assert inspect_device("cuda:1", "fp32") == ("cuda:1 (H200), fp32", 8)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    folder = tmp_path / "released"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"12345")
    return folder


def _refer(artifact: Path, reference: LanguageModelReference) -> None:
    folder = artifact / "decoder" / "language_model"
    folder.mkdir(parents=True)
    write_reference(reference, folder)


def test_an_artifact_that_is_whole_refers_to_nothing(tiny_artifact: Path) -> None:
    assert inspect_reference(tiny_artifact) is None


def test_a_folder_that_is_there_gone_or_another(tmp_path: Path, released: Path) -> None:
    artifact = tmp_path / "artifact"
    _refer(artifact, LanguageModelReference.of(Source(str(released), None, released), adapted=False))
    found = inspect_reference(artifact)
    assert found is not None
    assert (found.source, found.revision, found.size, found.fault) == (str(released), None, 5, "")
    (released / "model.safetensors").write_bytes(b"54321")
    found = inspect_reference(artifact)
    assert found is not None
    assert (found.size, "model.safetensors" in found.fault) == (0, True)
    released.rename(tmp_path / "gone")
    found = inspect_reference(artifact)
    assert found is not None
    assert "no such folder" in found.fault


def test_the_hub_is_not_asked(tmp_path: Path, released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, *, revision: str, local_files_only: bool, **_: object) -> str:
        asked.append((name, revision, local_files_only))
        return str(released)

    monkeypatch.setattr("models.hub.snapshot_download", download)
    artifact = tmp_path / "artifact"
    _refer(artifact, LanguageModelReference.of(Source("team/model", "abc", released), adapted=False))
    found = inspect_reference(artifact)
    assert found is not None
    assert (found.source, found.revision, found.fault) == ("team/model", "abc", "")
    assert asked == [("team/model", "abc", True)]
