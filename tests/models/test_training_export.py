"""export: an artifact that is whole, loadable and described, with figures of these very weights alone."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.artifact import verify_artifact
from models.bridge.c3 import C3, C3Config
from models.bridge.statistics import EmbeddingStatistics
from models.bridge.store import save_bridge
from models.decoder.store import load_decoder, save_decoder
from models.errors import ArtifactError, TrainingError
from models.pipeline import Pipeline
from models.training import export as stage
from models.training.build_decoder import build_decoder
from models.training.decoder_recipe import DecoderRecipe
from models.training.export import MEASURED_FILE, code_revision, export
from tests.conftest import TINY_DIM
from tests.models.export_work import LOOP, RECIPE, SETTINGS, SUMMARY, export_parts, rebegin_part, write_parts


@pytest.fixture
def work(tmp_path: Path, tiny_artifact: Path) -> Path:
    return write_parts(tmp_path, tiny_artifact)


def test_an_encoder_that_was_not_trained_here_says_where_it_is_from(work: Path) -> None:
    (work / "clap" / "settings.json").unlink()
    source = work / "clap" / "model" / "source.json"
    source.write_text('{"source": "somebody/clap", "revision": "abc"}\n', encoding="utf-8")
    rebegin_part(work, "bridge", encoder=work / "clap" / "model")
    recipe = {name: section for name, section in RECIPE.items() if name != "clap"}
    directory = export(SETTINGS, recipe, [], work, "cpu")
    assert (directory / "clap" / "source.json").read_bytes() == source.read_bytes()
    assert "clap/source.json" in verify_artifact(directory).files
    card = (directory / "README.md").read_text(encoding="utf-8")
    assert "The encoder is the released `somebody/clap` at revision `abc`, used as it is" in card
    assert "The encoder holds the weights of the released `somebody/clap` at revision `abc`: the licence" in card


def _evaluate(work: Path, files: dict[str, str]) -> None:
    directory = work / "evaluation"
    directory.mkdir(exist_ok=True)
    (directory / "report.json").write_text('{"top_1": 0.25}', encoding="utf-8")
    (directory / "report.md").write_text("### By sound\n\n| dog | 1 |\n", encoding="utf-8")
    (directory / MEASURED_FILE).write_text(json.dumps(files), encoding="utf-8")


def test_the_artifact_is_whole_and_is_what_was_trained(work: Path, tiny_artifact: Path) -> None:
    directory = export_parts(work)
    manifest = verify_artifact(directory)
    assert (manifest.name, manifest.version, manifest.licence) == ("tiny", "7", "MIT")
    assert manifest.recipe == RECIPE
    assert manifest.training_data == SUMMARY
    assert manifest.metrics == {}
    embeddings = np.eye(TINY_DIM, dtype=np.float32)[:3]
    ours, theirs = (Pipeline.load(path, "cpu").bridge(embeddings, [1, 2, 3]) for path in (directory, tiny_artifact))
    assert np.allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(("name", "dtype"), [("float16", torch.float16), ("float32", torch.float32)])
def test_weights_are_of_the_type_asked_for(work: Path, name: str, dtype: torch.dtype) -> None:
    directory = export_parts(work, dtype=name)
    weights = load_file(directory / "bridge" / "model.safetensors")
    assert weights["denoiser.blocks.0.out.weight"].dtype == dtype
    assert load_file(directory / "decoder" / "projector.safetensors")["mlp.0.weight"].dtype == dtype


def test_another_user_can_read_the_artifact(work: Path, tmp_path: Path) -> None:
    (tmp_path / "written").touch()
    artifact = export_parts(work)
    modes = {path.stat().st_mode for path in artifact.rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "written").stat().st_mode}


@pytest.fixture
def released(work: Path, tiny_artifact: Path) -> Path:
    """The work directory, its decoder around a released language model with a trained adapter."""
    source = tiny_artifact / "decoder" / "language_model"
    model = {"kind": "pretrained", "source": str(source), "lora": {"targets": ["c_attn"]}}
    decoder = build_decoder(DecoderRecipe.model_validate({"loop": LOOP, "language_model": model}), TINY_DIM, [])
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
        directory = export_parts(released, dtype="float32", language_model=how)
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
        export_parts(work, language_model="reference")


def test_the_card_tells_people_what_they_need(work: Path) -> None:
    card = (export_parts(work) / "README.md").read_text(encoding="utf-8")
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
    rebegin_part(work, "decoder", bridge=work / "bridge" / "model")
    assert "does not lie in CLAP's text space" in (export_parts(work) / "README.md").read_text(encoding="utf-8")


def test_figures_of_these_weights_come_with_the_second_export(work: Path) -> None:
    first = verify_artifact(export_parts(work))
    _evaluate(work, first.files)
    directory = export_parts(work)
    second = verify_artifact(directory)
    assert second.files == first.files
    assert second.metrics == {"top_1": 0.25}
    card = (directory / "README.md").read_text(encoding="utf-8")
    assert "| dog | 1 |" in card
    assert "Nothing has been measured" not in card


def test_figures_of_other_weights_are_left_out(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = verify_artifact(export_parts(work)).files
    _evaluate(work, files | {"clap/config.json": "0" * 64})
    assert verify_artifact(export_parts(work)).metrics == {}
    (work / "evaluation" / MEASURED_FILE).unlink()
    assert verify_artifact(export_parts(work)).metrics == {}
    assert capsys.readouterr().out.count("is of other weights") == 2


def test_a_failed_export_leaves_the_earlier_artifact(work: Path) -> None:
    files = verify_artifact(export_parts(work)).files
    (work / "decoder" / "model" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError):
        export_parts(work)
    assert verify_artifact(work / "artifact").files == files


def test_the_revision_is_a_commit_or_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|version \S+|unknown", code_revision())
    monkeypatch.setattr(stage.shutil, "which", lambda name: None)
    assert re.fullmatch(r"version \S+|unknown", code_revision())

    def not_installed(name: str) -> str:
        raise stage.PackageNotFoundError(name)

    monkeypatch.setattr(stage, "version", not_installed)
    assert code_revision() == "unknown"
