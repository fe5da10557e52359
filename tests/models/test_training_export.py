"""export: the parts that were trained for one another, loadable, described, with figures of these very weights alone."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.artifact import verify_artifact
from models.bridge.c3 import C3, C3Config
from models.bridge.identity import Identity, IdentityConfig
from models.bridge.statistics import EmbeddingStatistics
from models.bridge.store import save_bridge
from models.errors import ArtifactError, TrainingError
from models.pipeline import Pipeline
from models.training import export as stage
from models.training.export import MEASURED_FILE, ExportRecipe, code_revision, export
from models.training.folders import begin_stage, fingerprint
from tests.conftest import TINY_DIM

_SETTINGS = ExportRecipe(name="tiny", version="7", licence="MIT", data_notice="Sounds of nobody.")
_RECIPE: dict[str, Any] = {"bridge": {"kind": "mean-shift"}, "decoder": {"inputs": {"text": 1.0, "bridged": 3.0}}}
_SOUNDS = ["dog", "door_close"]
_SUMMARY: dict[str, Any] = {
    "scenes": {"encoder": 5},
    "sounds": 2,
    "sounds_without_takes": {"bridge": ["door_close"]},
}


@pytest.fixture
def work(tmp_path: Path, tiny_artifact: Path) -> Path:
    for part in ("clap", "bridge", "decoder"):
        shutil.copytree(tiny_artifact / part, tmp_path / "parts" / part)
    for part, source, name in (("bridge", "clap", "encoder"), ("decoder", "bridge", "bridge")):
        begun = {"recipe": _RECIPE[part], name: fingerprint((tiny_artifact / source).iterdir())}
        begin_stage(tmp_path / part, begun, resume=False)
    for part in ("clap", "bridge", "decoder"):
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / "parts" / part).rename(tmp_path / part / "model")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "summary.json").write_text(json.dumps(_SUMMARY), encoding="utf-8")
    return tmp_path


def _export(work: Path, **settings: Any) -> Path:
    return export(_SETTINGS.model_copy(update=settings), _RECIPE, _SOUNDS, work, "cpu")


@pytest.mark.parametrize("part", ["bridge", "decoder"])
def test_parts_of_another_recipe_are_refused(work: Path, part: str) -> None:
    changed = _RECIPE | {part: {"kind": "ridge"}}
    with pytest.raises(TrainingError, match=f"another \\[{part}\\]"):
        export(_SETTINGS, changed, _SOUNDS, work, "cpu")


def _evaluate(work: Path, files: dict[str, str]) -> None:
    directory = work / "evaluation"
    directory.mkdir(exist_ok=True)
    (directory / "report.json").write_text('{"top_1": 0.25}', encoding="utf-8")
    (directory / "report.md").write_text("### By sound\n\n| dog | 1 |\n", encoding="utf-8")
    (directory / MEASURED_FILE).write_text(json.dumps(files), encoding="utf-8")


def test_the_artifact_is_whole_and_is_what_was_trained(work: Path, tiny_artifact: Path) -> None:
    directory = _export(work)
    manifest = verify_artifact(directory)
    assert (manifest.name, manifest.version, manifest.licence) == ("tiny", "7", "MIT")
    assert manifest.recipe == _RECIPE
    assert manifest.training_data == _SUMMARY
    assert manifest.metrics == {}
    embeddings = np.eye(TINY_DIM, dtype=np.float32)[:3]
    ours, theirs = (Pipeline.load(path, "cpu").bridge(embeddings, [1, 2, 3]) for path in (directory, tiny_artifact))
    assert np.allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(("name", "dtype"), [("float16", torch.float16), ("float32", torch.float32)])
def test_weights_are_of_the_type_asked_for(work: Path, name: str, dtype: torch.dtype) -> None:
    directory = _export(work, dtype=name)
    weights = load_file(directory / "bridge" / "model.safetensors")
    assert weights["denoiser.blocks.0.out.weight"].dtype == dtype
    assert load_file(directory / "decoder" / "projector.safetensors")["mlp.0.weight"].dtype == dtype


def test_the_card_tells_people_what_they_need(work: Path) -> None:
    card = (_export(work) / "README.md").read_text(encoding="utf-8")
    for needed in (
        "# tiny 7",
        "dog, door close",
        "25 % noised text",
        "75 % bridged audio",
        "reconstruction",
        "| scenes | encoder 5 |",
        "Of 1 sounds there was one recording",
        "from texts alone: door close.",
        "under this licence: MIT",
        "Sounds of nobody.",
        "Nothing has been measured",
        "## Limits",
    ):
        assert needed in card


def test_the_card_warns_of_a_bridge_that_leaves_text_space(work: Path) -> None:
    save_bridge(C3(C3Config(dim=TINY_DIM), EmbeddingStatistics(TINY_DIM)), work / "bridge" / "model")
    begun = {"recipe": _RECIPE["decoder"], "bridge": fingerprint((work / "bridge" / "model").iterdir())}
    (work / "decoder" / "model").rename(work / "parts" / "decoder")
    shutil.rmtree(work / "decoder")
    begin_stage(work / "decoder", begun, resume=False)
    (work / "parts" / "decoder").rename(work / "decoder" / "model")
    assert "does not lie in CLAP's text space" in (_export(work) / "README.md").read_text(encoding="utf-8")


def test_figures_of_these_weights_come_with_the_second_export(work: Path) -> None:
    first = verify_artifact(_export(work))
    _evaluate(work, first.files)
    directory = _export(work)
    second = verify_artifact(directory)
    assert second.files == first.files
    assert second.metrics == {"top_1": 0.25}
    card = (directory / "README.md").read_text(encoding="utf-8")
    assert "| dog | 1 |" in card
    assert "Nothing has been measured" not in card


def test_figures_of_other_weights_are_left_out(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = verify_artifact(_export(work)).files
    _evaluate(work, files | {"clap/config.json": "0" * 64})
    assert verify_artifact(_export(work)).metrics == {}
    (work / "evaluation" / MEASURED_FILE).unlink()
    assert verify_artifact(_export(work)).metrics == {}
    assert capsys.readouterr().out.count("is of other weights") == 2


@pytest.mark.parametrize(
    ("part", "command"), [("clap", "train-clap"), ("bridge", "train-bridge"), ("decoder", "train-decoder")]
)
def test_a_missing_stage_is_named(work: Path, part: str, command: str) -> None:
    shutil.rmtree(work / part / "model")
    with pytest.raises(TrainingError, match=f"run `diffusion-link {command}`"):
        _export(work)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_corpus_without_a_summary_is_refused(work: Path, content: str | None) -> None:
    path = work / "corpus" / "summary.json"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"summary\.json"):
        _export(work)


def test_parts_that_were_not_trained_for_one_another_are_refused(work: Path) -> None:
    path = work / "clap" / "model" / "config.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="another encoder"):
        _export(work)


def test_a_decoder_of_another_bridge_is_refused(work: Path) -> None:
    save_bridge(Identity(IdentityConfig(dim=TINY_DIM)), work / "bridge" / "model")
    with pytest.raises(TrainingError, match="another bridge"):
        _export(work)


def test_a_failed_export_leaves_the_earlier_artifact(work: Path) -> None:
    files = verify_artifact(_export(work)).files
    (work / "decoder" / "model" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError):
        _export(work)
    assert verify_artifact(work / "artifact").files == files


def test_the_revision_is_a_commit_or_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|version \S+|unknown", code_revision())
    monkeypatch.setattr(stage.shutil, "which", lambda name: None)
    assert re.fullmatch(r"version \S+|unknown", code_revision())

    def not_installed(name: str) -> str:
        raise stage.PackageNotFoundError(name)

    monkeypatch.setattr(stage, "version", not_installed)
    assert code_revision() == "unknown"
