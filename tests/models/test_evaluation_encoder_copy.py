"""Embeddings for a comparison: made once, with the recipe's encoder where there is none, and never with another."""

import shutil
from pathlib import Path

import pytest

from models.clap.encoder import ClapEncoder
from models.clap.store import save_clap
from models.errors import TrainingError
from models.evaluation.encoder_copy import encoder_trained_here, make_embeddings
from models.training.embed import EmbeddingSet, EmbedRecipe
from tests.models.training_work import write_clap, write_corpus


@pytest.fixture
def encoder(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    save_clap(tiny_clap, tmp_path / "stored")
    return tmp_path / "stored"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    write_corpus(tmp_path / "work")
    return tmp_path / "work"


def test_the_stored_encoder_takes_the_place_of_a_trained_one(work: Path, encoder: Path) -> None:
    make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    copied = {path.name: path.read_bytes() for path in (work / "clap" / "model").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in encoder.iterdir()}
    assert len(EmbeddingSet.load(work, "test").audio) == 6
    stamps = {path: path.stat().st_mtime_ns for path in (work / "embeddings").iterdir()}
    make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert stamps == {path: path.stat().st_mtime_ns for path in (work / "embeddings").iterdir()}
    # What was broken off goes on.
    (work / "embeddings" / "test.safetensors").unlink()
    make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert (work / "embeddings" / "test.safetensors").is_file()


@pytest.mark.parametrize("trace", ["log.jsonl", "settings.json"])
def test_an_encoder_that_was_trained_here_stays(work: Path, encoder: Path, tiny_clap: ClapEncoder, trace: str) -> None:
    write_clap(work, tiny_clap)
    (work / "clap" / "model" / "note").write_text("mine")
    (work / "clap" / trace).write_text("{}\n")
    assert encoder_trained_here(work)
    make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert (work / "clap" / "model" / "note").read_text() == "mine"
    assert (work / "embeddings" / "bridge.safetensors").is_file()


def test_a_training_that_is_not_finished_is_not_copied_over(work: Path, encoder: Path) -> None:
    (work / "clap").mkdir()
    (work / "clap" / "settings.json").write_text("{}\n")
    with pytest.raises(TrainingError, match="run `diffusion-link train-clap`"):
        make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert not (work / "clap" / "model").exists()


def test_a_copy_of_another_encoder_is_named(work: Path, encoder: Path) -> None:
    make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert not encoder_trained_here(work)
    (encoder / "note").write_text("new")
    model = work / "clap" / "model"
    with pytest.raises(TrainingError, match=f"{model} is a copy of another encoder than {encoder}.*remove it"):
        make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert not (model / "note").exists()
    # What was embedded with the other is embedded again, although all files are there.
    shutil.rmtree(model)
    stamp = (work / "embeddings" / "test.safetensors").stat().st_mtime_ns
    make_embeddings(encoder, EmbedRecipe(), work, "cpu")
    assert (model / "note").is_file()
    assert (work / "embeddings" / "test.safetensors").stat().st_mtime_ns > stamp
    assert len(EmbeddingSet.load(work, "test").audio) == 6


def test_without_an_encoder_nothing_is_made(work: Path) -> None:
    make_embeddings(None, EmbedRecipe(), work, "cpu")
    assert not (work / "embeddings").exists()


def test_what_is_not_there_is_named(work: Path, tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(TrainingError, match="nowhere, the encoder of the comparison, is not a folder"):
        make_embeddings(tmp_path / "nowhere", EmbedRecipe(), work, "cpu")
    assert not (work / "clap").exists()
    with pytest.raises(TrainingError, match="run `diffusion-link corpus`"):
        make_embeddings(encoder, EmbedRecipe(), tmp_path / "empty", "cpu")
