"""Artifact, hub, memory, keys and the caption: what the doctor finds well, and what not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import models.pipeline
from app import doctor_service
from app.doctor import Visit
from app.doctor_service import check_artifact, check_caption, check_keys, check_memory, check_offline
from models.pipeline import Pipeline, Reference
from tests.app.fakes import FakePipeline

_KEY = "0123456789abcdef0123456789abcdef"


def _visit(environ: dict[str, str] | None = None, **flags: Any) -> Visit:
    return Visit({"device": "cpu", **flags}, environ or {})


def _refers(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    reference = Reference(**{"source": "team/model", "revision": "abc", "size": 0, "fault": "", **facts})
    monkeypatch.setattr(models.pipeline, "inspect_reference", lambda _: reference)


def test_an_artifact_that_is_whole(tiny_artifact: Path) -> None:
    found = check_artifact(_visit(artifact=tiny_artifact))
    assert found.level == "ok"
    assert found.found.startswith("tiny 1, ")
    assert found.found.endswith("every sum is right")


def test_an_artifact_that_is_damaged(tiny_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_artifact, folder)
    (folder / "bridge" / "config.json").write_text("{}")
    found = check_artifact(_visit(artifact=folder))
    assert (found.level, "is damaged" in found.found) == ("wrong", True)
    assert found.mend.startswith("copy the artifact again")
    found = check_artifact(_visit(artifact=tmp_path))
    assert "`diffusion-link export`" in found.mend


def test_the_artifact_of_the_package_is_mended_by_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_service, "EMBEDDED_ARTIFACT", tmp_path)
    assert check_artifact(_visit(artifact=tmp_path)).mend.startswith("install the package again")


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, tiny_artifact: Path) -> None:
    assert check_offline(_visit(artifact=tiny_artifact)).level == "ok"
    _refers(monkeypatch)
    found = check_offline(_visit(artifact=tiny_artifact))
    assert (found.level, found.mend) == ("warning", "set HF_HUB_OFFLINE=1")
    for value, level in {"1": "ok", "true": "ok", "on": "ok", "0": "warning", "": "warning"}.items():
        assert check_offline(_visit({"HF_HUB_OFFLINE": value}, artifact=tiny_artifact)).level == level, value
    _refers(monkeypatch, revision=None, source="/there")
    assert check_offline(_visit(artifact=tiny_artifact)).level == "ok", "a folder needs no network"


def test_a_language_model_that_is_not_here(monkeypatch: pytest.MonkeyPatch, tiny_artifact: Path) -> None:
    _refers(monkeypatch, fault="not in the cache")
    found = check_offline(_visit(artifact=tiny_artifact))
    assert (found.level, found.found) == ("wrong", "the artifact needs a language model: not in the cache")
    assert found.mend == "with a network, once: hf download team/model --revision abc"
    _refers(monkeypatch, fault="gone", revision=None)
    assert check_offline(_visit(artifact=tiny_artifact)).mend == "put that folder back there"


@pytest.mark.parametrize(("on_device", "what"), [(None, "1.0 GiB of RAM"), (2**31, "2.0 GiB of device memory")])
def test_memory(on_device: int | None, what: str, tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.pipeline, "inspect_device", lambda *_: ("a device", on_device))
    monkeypatch.setattr(doctor_service, "_free_ram", lambda: 2**30)
    found = check_memory(_visit(artifact=tiny_artifact))
    assert found.level == "ok"
    assert found.found.startswith(f"{what} free, at most 51")
    _refers(monkeypatch, size=2**31)
    found = check_memory(_visit(artifact=tiny_artifact))
    assert (found.level, "at most 4.5 GiB needed" in found.found) == ("warning", True)


def test_a_language_model_is_looked_at_once(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(models.pipeline, "inspect_reference", looked.append)
    visit = _visit(artifact=tiny_artifact)
    check_offline(visit)
    check_memory(visit)
    assert looked == [tiny_artifact]


def test_memory_that_cannot_be_told(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_service, "_free_ram", lambda: None)
    found = check_memory(_visit(artifact=tiny_artifact))
    assert (found.level, "cannot be told" in found.found) == ("ok", True)


def test_free_memory_is_the_machines_and_the_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_service, "_MEMORY_FILE", tmp_path / "meminfo")
    monkeypatch.setattr(doctor_service, "_CONTAINER", tmp_path)
    assert doctor_service._free_ram() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  4 kB\n")
    assert doctor_service._free_ram() == 4_096
    (tmp_path / "memory.current").write_text("1000\n")
    for limit, free in {"max": 4_096, "3000": 2_000, "900": 0, "999999": 4_096}.items():
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert doctor_service._free_ram() == free, limit


@pytest.mark.parametrize(
    ("host", "level"), [("127.0.0.1", "ok"), ("localhost", "ok"), ("::1", "ok"), ("0.0.0.0", "warning"), ("box", "warning")]
)
def test_no_keys(host: str, level: str) -> None:
    assert check_keys(_visit(host=host)).level == level


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    visit = _visit(api_keys_file=path)
    assert check_keys(visit).level == "wrong"
    path.write_text(f"{_KEY}\n")
    path.chmod(0o644)
    found = check_keys(visit)
    assert (found.level, found.mend) == ("warning", f"chmod 600 {path}")
    assert "(644)" in found.found
    assert _KEY not in str(found)
    monkeypatch.setattr(doctor_service, "_SECRETS", tmp_path)
    assert check_keys(visit).level == "ok", "nobody else sees a container's secrets"
    monkeypatch.undo()
    path.chmod(0o600)
    assert check_keys(visit).level == "ok"
    path.write_text("")
    found = check_keys(visit)
    assert (found.level, "openssl rand" in found.mend) == ("wrong", True)


def test_a_caption(pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "load", pipeline.load)
    found = check_caption(_visit())
    assert found.level == "ok"
    assert found.found.startswith("a tone is 'sound ")
    assert pipeline.embedded == [1]


def test_a_caption_that_is_not_written(
    pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of the device")

    assert "is not a directory" in check_caption(_visit(artifact=tmp_path / "none")).found
    monkeypatch.setattr(Pipeline, "load", pipeline.load)
    monkeypatch.setattr(pipeline, "write", fail)
    found = check_caption(_visit())
    assert (found.level, found.mend) == ("wrong", "the log above says more")
    assert "of the device" in caplog.text
