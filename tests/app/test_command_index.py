"""`diffusion-link index`: every sound once, what is unchanged not again, and bad files named."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import command_index
from app.cli import main
from app.command_index import index
from app.settings import ServiceSettings
from app.sound_index import SoundIndex, SoundIndexError
from models.pipeline import Pipeline
from tests.app.bad_files import BAD_FILES
from tests.app.conftest import Start
from tests.app.fakes import MANIFEST, FakePipeline, sound

_SETTINGS = ServiceSettings(device="cpu")


@pytest.fixture(autouse=True)
def _fake(pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "load", pipeline.load)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for seed, name in enumerate(("a.wav", "B.WAV", "deep/c.wav", "deep/deeper/d.wav")):
        (folder / name).write_bytes(sound(0.1 + 11 * seed, 8_000, seed=seed))
    for name in ("notes.txt", "deep/._c.wav", ".hidden/e.wav"):
        (folder / name).write_bytes(b"no sound")
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "index.npz"


def test_every_sound_below_the_folder(folder: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(folder, output, _SETTINGS) == 0
    assert capsys.readouterr().out == f"{output}: 4 sounds (4 embedded, 0 unchanged, 0 removed)\n"
    made = SoundIndex.load(output)
    assert made.names == ["B.WAV", "a.wav", "deep/c.wav", "deep/deeper/d.wav"]
    assert made.folder == str(folder)


@pytest.mark.anyio
async def test_embeddings_are_those_of_http(folder: Path, output: Path, start: Start) -> None:
    async with start() as running:
        answer = (await running.http.post("/bridge", files={"file": (folder / "deep/c.wav").read_bytes()})).json()
    await asyncio.to_thread(index, folder, output, _SETTINGS)
    made = SoundIndex.load(output)
    row = made.embeddings[list(made.names).index("deep/c.wav")]
    assert np.allclose(row, answer["results"][0]["embedding"], atol=1e-6)


def test_again_only_what_is_new_or_changed(
    folder: Path, output: Path, pipeline: FakePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    index(folder, output, _SETTINGS)
    before = SoundIndex.load(output)
    pipeline.embedded.clear()
    assert index(folder, output, _SETTINGS) == 0
    assert pipeline.embedded == []
    assert np.array_equal(SoundIndex.load(output).embeddings, before.embeddings)
    (folder / "a.wav").write_bytes(sound(0.2, 8_000))
    os.utime(folder / "B.WAV", ns=(1, 1))
    (folder / "deep/c.wav").unlink()
    (folder / "new.wav").write_bytes(sound(0.1, 8_000))
    capsys.readouterr()
    assert index(folder, output, _SETTINGS) == 0
    # Two of them one window long, and B.WAV two.
    assert sum(pipeline.embedded) == 4
    assert capsys.readouterr().out == f"{output}: 4 sounds (3 embedded, 1 unchanged, 1 removed)\n"
    after = SoundIndex.load(output)
    assert after.names == ["B.WAV", "a.wav", "deep/deeper/d.wav", "new.wav"]
    assert np.array_equal(after.embeddings[2], before.embeddings[3])
    assert not np.array_equal(after.embeddings[1], before.embeddings[1])


def test_bad_files_are_named_and_left_out(folder: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, (data, _) in BAD_FILES.items():
        (folder / name).write_bytes(data)
    (folder / "nowhere.wav").symlink_to("none")
    assert index(folder, output, _SETTINGS) == 1
    out, err = capsys.readouterr()
    assert out == f"{output}: 4 sounds (4 embedded, 0 unchanged, 0 removed)\n"
    lines = err.splitlines()
    assert {line.partition(": ")[0] for line in lines[:-1]} == {*BAD_FILES, "nowhere.wav"}
    assert "empty.wav: the file is empty" in lines
    assert lines[-1] == f"{len(BAD_FILES) + 1} could not be used"
    assert len(SoundIndex.load(output).names) == 4


def test_a_folder_that_cannot_be_read_is_named(
    folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "deeper":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert index(folder, output, _SETTINGS) == 1
    assert capsys.readouterr().err.splitlines() == ["deep/deeper: Permission denied", "1 could not be used"]
    assert len(SoundIndex.load(output).names) == 3


def test_an_interruption_costs_nothing_that_is_done(
    folder: Path, output: Path, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_at_a_time = ServiceSettings(queue_capacity=1, max_files=1)
    bridge, bridged = pipeline.bridge, list[int]()

    def interrupt_at_the_third(*arguments: Any) -> Any:
        bridged.append(1)
        if len(bridged) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return bridge(*arguments)

    monkeypatch.setattr(pipeline, "bridge", interrupt_at_the_third)
    # A shell that runs the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            index(folder, output, one_at_a_time)
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(SoundIndex.load(output).names)[:2] == ["B.WAV", "a.wav"]
    bridged.clear()
    assert index(folder, output, _SETTINGS) == 0
    assert len(bridged) <= 2
    assert len(SoundIndex.load(output).names) == 4


def test_what_is_done_is_saved_now_and_then(folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, save = list[int](), SoundIndex.save

    def watched(made: SoundIndex, path: Path) -> None:
        sizes.append(len(made.names))
        save(made, path)

    monkeypatch.setattr(SoundIndex, "save", watched)
    monkeypatch.setattr(command_index, "_SAVE_EVERY_S", 0.0)
    index(folder, output, _SETTINGS)
    assert sizes == [0, 1, 2, 3, 4, 4]


def test_another_artifacts_index_is_refused(
    folder: Path, output: Path, pipeline: FakePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    index(folder, output, _SETTINGS)
    before = output.read_bytes()
    pipeline.manifest = MANIFEST.model_copy(update={"name": "other"})
    assert main(["index", str(folder), "--output", str(output)]) == 2
    assert "was made with the artifact fake 7, not with other 7" in capsys.readouterr().err
    assert output.read_bytes() == before


def test_another_folders_index_is_refused(folder: Path, output: Path) -> None:
    index(folder, output, _SETTINGS)
    with pytest.raises(SoundIndexError, match=f"is the index of {folder}; choose another --output"):
        index(folder / "deep", output, _SETTINGS)


def test_no_folder_and_no_sound(tmp_path: Path, output: Path) -> None:
    with pytest.raises(SoundIndexError, match="is not a folder"):
        index(tmp_path / "none", output, _SETTINGS)
    with pytest.raises(SoundIndexError, match=r"holds no file that ends in \.wav"):
        index(tmp_path, output, _SETTINGS)
    assert not output.exists()


def test_a_path_that_cannot_be_written_is_told_before_the_work(folder: Path, tmp_path: Path, pipeline: FakePipeline) -> None:
    with pytest.raises(SoundIndexError, match="cannot be written"):
        index(folder, tmp_path / "none" / "index.npz", _SETTINGS)
    assert pipeline.embedded == []


def test_names_that_are_not_utf8(folder: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"\xff[red].wav")
    (folder / name).write_bytes(sound(0.1))
    (folder / os.fsdecode(b"\xfe.wav")).write_bytes(b"")
    assert index(folder, output, _SETTINGS) == 1
    assert name in SoundIndex.load(output).names
    assert "\ufffd.wav: the file is empty" in capsys.readouterr().err


def test_objects_for_programs(folder: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty.wav").write_bytes(b"")
    assert main(["index", str(folder), "--output", str(output), "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "index": str(output),
        "sounds": 4,
        "embedded": 4,
        "unchanged": 0,
        "removed": 0,
        "failed": [{"file": "empty.wav", "error": "the file is empty"}],
    }
