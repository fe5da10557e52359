"""Every kind of bridge goes the whole way: from a recipe through train-bridge into an artifact that is served."""

import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

from models.artifact import write_manifest
from models.bridge.c3 import C3
from models.bridge.store import load_bridge
from models.clap.encoder import ClapEncoder
from models.pipeline import Pipeline
from models.training.bridge_recipe import BridgeRecipe, LearnedBridgeRecipe
from models.training.embed import EmbedRecipe, embed
from models.training.train_bridge import train_bridge
from tests.models.training_work import write_clap, write_corpus

_NETWORK: dict[str, Any] = {
    "loop": {"steps": 3, "learning_rate": 1e-2, "warmup_steps": 1},
    "batch_size": 8,
    "denoiser": {"hidden_dim": 16, "timestep_dim": 8},
}
_KINDS = {get_args(recipe.model_fields["kind"].annotation)[0]: recipe for recipe in get_args(get_args(BridgeRecipe)[0])}


@pytest.fixture(scope="module")
def work(tiny_clap: ClapEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("work")
    write_corpus(directory)
    write_clap(directory, tiny_clap)
    embed(EmbedRecipe(), directory, "cpu", resume=False)
    return directory


def _artifact(kind: str, work: Path, tiny_artifact: Path, directory: Path) -> Path:
    settings = _NETWORK if issubclass(_KINDS[kind], LearnedBridgeRecipe) else {}
    recipe = TypeAdapter(BridgeRecipe).validate_python({"kind": kind} | settings)
    shutil.rmtree(work / "bridge", ignore_errors=True)
    train_bridge(recipe, work, "cpu", resume=False)
    shutil.copytree(tiny_artifact, directory)
    shutil.rmtree(directory / "bridge")
    shutil.copytree(work / "bridge" / "model", directory / "bridge")
    facts: dict[str, Any] = {"recipe": {}, "training_data": {}, "metrics": {}}
    write_manifest(directory, name="tiny", version="1", code_revision="unknown", licence="MIT", **facts)
    return directory


@pytest.mark.parametrize("kind", sorted(_KINDS))
def test_a_bridge_is_trained_stored_and_served(kind: str, work: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    directory = _artifact(kind, work, tiny_artifact, tmp_path / "artifact")
    assert load_bridge(directory / "bridge").config.kind == kind
    pipeline = Pipeline.load(directory, "cpu")
    assert pipeline.describe()["bridge"]["kind"] == kind
    audio = pipeline.embed_audio(np.random.default_rng(0).uniform(-0.1, 0.1, (3, 480_000)).astype(np.float32))
    together = pipeline.bridge(audio, [7, 8, 9])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([pipeline.bridge(audio[i : i + 1], [7 + i]) for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    captions = pipeline.write(together, seeds=[7, 8, 9], candidates=1, max_new_tokens=8)
    assert [len(row) for row in captions] == [1, 1, 1]


def test_behind_c3_texts_and_scores_are_on_its_own_side(
    work: Path, tiny_artifact: Path, tiny_clap: ClapEncoder, tmp_path: Path
) -> None:
    directory = _artifact("c3", work, tiny_artifact, tmp_path / "artifact")
    bridge, pipeline = load_bridge(directory / "bridge"), Pipeline.load(directory, "cpu")
    assert isinstance(bridge, C3)

    def by_hand(texts: list[str]) -> np.ndarray:
        centred = (tiny_clap.embed_texts(texts) - bridge.statistics.text_mean).numpy()
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    texts = ["a dog barks", "rain is falling", "a bell rings twice and then stops"]
    rows = pipeline.embed_texts(texts)
    np.testing.assert_allclose(rows, by_hand(texts), atol=1e-4)
    assert not np.allclose(rows, tiny_clap.embed_texts(texts).numpy(), atol=0.1)
    for row, captions in zip(rows, pipeline.write(rows, seeds=[1, 2, 3], candidates=3, max_new_tokens=12), strict=True):
        expected = by_hand([scored.caption for scored in captions]) @ row
        np.testing.assert_allclose([scored.score for scored in captions], expected, atol=1e-4)
