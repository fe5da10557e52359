"""export: the parts that were trained for one another, loadable, described, with figures of these very weights alone."""

import json
import re
import shutil
from collections.abc import Mapping
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
from models.decoder.store import load_decoder, save_decoder
from models.errors import ArtifactError, TrainingError
from models.pipeline import Pipeline
from models.training import export as stage
from models.training.build_decoder import build_decoder
from models.training.decoder_recipe import DecoderRecipe
from models.training.export import MEASURED_FILE, ExportRecipe, code_revision, export
from models.training.folders import begin_stage, fingerprint
from tests.conftest import TINY_DIM

_SETTINGS = ExportRecipe(name="tiny", version="7", licence="MIT", data_notice="Sounds of nobody.")
_LOOP = {"steps": 5, "learning_rate": 0.1}
_RECIPE: dict[str, Any] = {
    "clap": {"batch_size": 8, "loop": _LOOP},
    "bridge": {"kind": "mean-shift"},
    "decoder": {"inputs": {"text": 1.0, "bridged": 3.0}, "loop": _LOOP},
}
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
    _begin(tmp_path, "clap")
    _begin(tmp_path, "bridge", encoder=tiny_artifact / "clap")
    _begin(tmp_path, "decoder", bridge=tiny_artifact / "bridge")
    for part in ("clap", "bridge", "decoder"):
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / "parts" / part).rename(tmp_path / part / "model")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "summary.json").write_text(json.dumps(_SUMMARY), encoding="utf-8")
    return tmp_path


def _begin(work: Path, part: str, recipe: Mapping[str, Any] = _RECIPE, **made_from: Path) -> None:
    """Settings as the training of a part leaves them."""
    sources = {name: fingerprint(directory.iterdir()) for name, directory in made_from.items()}
    begin_stage(work / part, {"recipe": recipe[part], **sources}, resume=False)


def _rebegin(work: Path, part: str, recipe: Mapping[str, Any] = _RECIPE, **made_from: Path) -> None:
    """As `_begin`, for a part that is there already."""
    (work / part / "model").rename(work / "parts" / part)
    shutil.rmtree(work / part)
    _begin(work, part, recipe, **made_from)
    (work / "parts" / part).rename(work / part / "model")


def _export(work: Path, **settings: Any) -> Path:
    return export(_SETTINGS.model_copy(update=settings), _RECIPE, _SOUNDS, work, "cpu")


@pytest.mark.parametrize(
    ("part", "section"),
    [
        ("clap", {"batch_size": 9, "loop": _LOOP}),
        ("clap", None),
        ("bridge", {"kind": "ridge"}),
        ("decoder", {"loop": _LOOP}),
        ("decoder", {"kind": "ridge"}),
    ],
)
def test_parts_of_another_recipe_are_refused(work: Path, part: str, section: dict[str, Any] | None) -> None:
    with pytest.raises(TrainingError, match=rf"another \[{part}\]"):
        export(_SETTINGS, _RECIPE | {part: section}, _SOUNDS, work, "cpu")


def test_settings_that_are_newer_than_a_part_have_their_defaults(work: Path) -> None:
    newer = {"noise_variance": 0.016, "validation_scenes": 512, "loop": {**_LOOP, "accumulation": 1, "log_every": 10}}
    export(_SETTINGS, _RECIPE | {"decoder": _RECIPE["decoder"] | newer}, _SOUNDS, work, "cpu")
    with pytest.raises(TrainingError, match=r"another \[decoder\]"):
        export(_SETTINGS, _RECIPE | {"decoder": _RECIPE["decoder"] | {"noise_variance": 0.5}}, _SOUNDS, work, "cpu")


def test_an_encoder_that_was_not_trained_here_says_where_it_is_from(work: Path) -> None:
    (work / "clap" / "settings.json").unlink()
    source = work / "clap" / "model" / "source.json"
    source.write_text('{"source": "somebody/clap", "revision": "abc"}\n', encoding="utf-8")
    _rebegin(work, "bridge", encoder=work / "clap" / "model")
    recipe = {name: section for name, section in _RECIPE.items() if name != "clap"}
    directory = export(_SETTINGS, recipe, [], work, "cpu")
    assert (directory / "clap" / "source.json").read_bytes() == source.read_bytes()
    assert "clap/source.json" in verify_artifact(directory).files


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


@pytest.fixture
def released(work: Path, tiny_artifact: Path) -> Path:
    """The work directory, its decoder around a released language model with a trained adapter."""
    source = tiny_artifact / "decoder" / "language_model"
    model = {"kind": "pretrained", "source": str(source), "lora": {"targets": ["c_attn"]}}
    decoder = build_decoder(DecoderRecipe.model_validate({"loop": _LOOP, "language_model": model}), TINY_DIM, [])
    torch.manual_seed(0)
    for name, parameter in decoder.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    shutil.rmtree(work / "decoder" / "model")
    save_decoder(decoder, work / "decoder" / "model")
    return work


def test_a_released_language_model_is_copied_or_named(released: Path, tiny_artifact: Path) -> None:
    texts, embeddings = ["a dog barks", "rain closes"], torch.eye(TINY_DIM)[:2]
    trained = load_decoder(released / "decoder" / "model").loss(embeddings, texts).item()
    files = {}
    for how in ("merged", "reference"):
        directory = _export(released, dtype="float32", language_model=how)
        files[how] = {Path(name).name for name in verify_artifact(directory).files if "/language_model/" in name}
        assert load_decoder(directory / "decoder").loss(embeddings, texts).item() == pytest.approx(trained, abs=1e-4)
        if how == "merged":
            weights = load_file(directory / "decoder" / "language_model" / "model.safetensors")
    base = load_file(tiny_artifact / "decoder" / "language_model" / "model.safetensors")
    assert {name for name in base if not torch.equal(base[name], weights[name])} == {
        f"transformer.h.{layer}.attn.c_attn.weight" for layer in (0, 1)
    }
    assert {"model.safetensors", "tokenizer.json"} < files["merged"]
    assert files["reference"] == {"reference.json", "adapter_config.json", "adapter_model.safetensors"}


def test_a_language_model_that_was_trained_here_cannot_be_named(work: Path) -> None:
    with pytest.raises(TrainingError, match="'reference': all weights of the language model were trained here"):
        _export(work, language_model="reference")


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
    _rebegin(work, "decoder", bridge=work / "bridge" / "model")
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
