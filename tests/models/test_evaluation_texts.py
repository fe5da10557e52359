"""Texts for both sides: the same where the bridge's texts are CLAP's, and CLAP's own for raw audio where they are not."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from models.artifact import read_manifest, write_manifest
from models.bridge.c3 import C3
from models.bridge.store import save_bridge
from models.clap.encoder import ClapEncoder
from models.evaluation.texts import TextEmbedder
from models.pipeline import Pipeline
from tests.conftest import CAPTIONS, TINY_DIM

_TEXTS = ["a dog barks", "rain is falling", "a dog barks"]


def test_equal_texts_are_embedded_once_and_get_equal_rows() -> None:
    asked: list[Sequence[str]] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        asked.append(texts)
        return np.arange(2 * len(texts), dtype=np.float32).reshape(-1, 2)

    sides = TextEmbedder(embed).embed(_TEXTS)
    assert asked == [["a dog barks", "rain is falling"]]
    assert sides.bridged.tolist() == [[0, 1], [2, 3], [0, 1]]
    assert sides.raw is sides.bridged


def test_clap_is_not_read_twice_for_a_bridge_into_its_text_space(tiny_artifact: Path) -> None:
    pipeline = Pipeline.load(tiny_artifact, "cpu")
    texts = TextEmbedder.load(pipeline, tiny_artifact, "cpu")
    assert texts.plain is None
    assert texts.embed(_TEXTS).raw == pytest.approx(pipeline.embed_texts(_TEXTS), abs=1e-6)


def test_raw_audio_is_compared_with_claps_own_texts(tmp_path: Path, tiny_artifact: Path, tiny_clap: ClapEncoder) -> None:
    artifact = tmp_path / "c3"
    shutil.copytree(tiny_artifact, artifact)
    shutil.rmtree(artifact / "bridge")
    own = tiny_clap.embed_texts(CAPTIONS)
    audio = torch.randn(20, TINY_DIM, generator=torch.Generator().manual_seed(0))
    save_bridge(C3.fit(audio, own), artifact / "bridge")
    old = read_manifest(artifact)
    facts = {"name", "version", "code_revision", "licence", "recipe", "training_data", "metrics"}
    write_manifest(artifact, **old.model_dump(include=facts))
    sides = TextEmbedder.load(Pipeline.load(artifact, "cpu"), artifact, "cpu").embed(_TEXTS)
    expected = tiny_clap.embed_texts(_TEXTS).numpy()
    assert sides.raw == pytest.approx(expected, abs=1e-6)
    assert np.abs(sides.bridged - expected).max() > 0.1
