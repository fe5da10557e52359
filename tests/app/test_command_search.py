"""`diffusion-link search`: sounds in the order of their cosines, as a table or as JSON, and queries that cannot be."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.cli import main
from app.sound_index import IndexedArtifact, SoundIndex
from models.pipeline import Pipeline
from tests.app.fakes import DIM, MANIFEST, FakePipeline

_NAMES = ["far.wav", os.fsdecode(b"\xff[red].wav"), "near/it.wav"]


@pytest.fixture(autouse=True)
def _fake(pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "load", pipeline.load)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def file(tmp_path: Path, pipeline: FakePipeline) -> str:
    """Three sounds, the last of which is nearest to "a a", and the first farthest."""
    (near,) = pipeline.embed_texts(["a a"])
    rows = np.stack([near * -1, np.eye(DIM, dtype=np.float32)[0], near])
    path = tmp_path / "index.npz"
    SoundIndex(IndexedArtifact.of(MANIFEST), "/sounds", _NAMES, np.zeros((3, 2), np.int64), rows).save(path)
    return str(path)


def test_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a a", "--index", file, "--json", "-k", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"file": "/sounds/near/it.wav", "cosine": 1.0},
        {"file": f"/sounds/{_NAMES[1]}", "cosine": pytest.approx(0.37, abs=0.03)},
    ]


def test_a_table(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a a", "--index", file]) == 0
    out = capsys.readouterr().out
    places = [out.index(text) for text in ("/sounds", "near/it.wav", "1.0000", "\ufffd[red].wav", "far.wav", "-1.0000")]
    assert places == sorted(places)


def test_the_index_is_looked_for_in_this_folder(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", "a"]) == 2
    Path(file).rename(tmp_path / "sound-index.npz")
    assert main(["search", "a"]) == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([" "], "the text is blank"),
        (["a" * 1_001], "1001 characters; a text may have 1000"),
        ([os.fsdecode(b"\xff")], "the text is not UTF-8"),
        (["a", "-k", "0"], "-k: the least is 1"),
    ],
)
def test_what_cannot_be_searched(arguments: list[str], line: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", *arguments, "--index", file]) == 2
    assert capsys.readouterr().err == f"diffusion-link: {line}\n"


def test_another_artifacts_index(file: str, pipeline: FakePipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.manifest = MANIFEST.model_copy(update={"version": "8"})
    assert main(["search", "a", "--index", file]) == 2
    assert "was made with the artifact fake 7, not with fake 8" in capsys.readouterr().err
