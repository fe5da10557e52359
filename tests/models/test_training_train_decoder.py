"""train-decoder: it learns to write, says what is wrong before it begins, and ends the same broken off or not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.bridge.identity import Identity, IdentityConfig
from models.bridge.store import save_bridge
from models.clap.encoder import ClapEncoder
from models.decoder.store import load_decoder
from models.errors import TrainingError
from models.training.bridge_recipe import BridgeRecipe
from models.training.embed import EmbeddingSet
from models.training.loop import TrainingLoop
from models.training.train_bridge import train_bridge
from models.training.train_decoder import make_decoder, train_decoder
from tests.models.decoder_work import SMALL, small_recipe, write_decoder_work
from tests.models.training_work import log_lines


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    return write_decoder_work(tmp_path, tiny_clap)


def test_a_run_learns_and_leaves_a_decoder(work: Path) -> None:
    loop = SMALL["loop"] | {"steps": 60, "evaluate_every": 20, "log_every": 20}
    train_decoder(small_recipe(loop=loop), work, "cpu", resume=False)
    decoder = load_decoder(work / "decoder" / "model")
    losses = [line["validation_loss_text"] for line in log_lines(work / "decoder") if "validation_loss_text" in line]
    assert len(losses) == 3
    assert losses[-1] < 0.6 * losses[0]
    embeddings = EmbeddingSet.load(work, "test").text[:2]
    assert all(texts[0] for texts in decoder.generate(embeddings, seeds=[0, 0], candidates=1, max_new_tokens=8))


def test_a_finished_run_resumed_gives_the_same_decoder(work: Path) -> None:
    train_decoder(small_recipe(), work, "cpu", resume=False)
    files = [path for path in (work / "decoder" / "model").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    train_decoder(small_recipe(), work, "cpu", resume=True)
    assert {path: path.read_bytes() for path in files} == before


def test_another_bridge_is_not_resumed_upon(work: Path) -> None:
    train_decoder(small_recipe(), work, "cpu", resume=False)
    shutil.rmtree(work / "bridge")
    train_bridge(TypeAdapter(BridgeRecipe).validate_python({"kind": "identity"}), work, "cpu", resume=False)
    with pytest.raises(TrainingError, match="other settings or data"):
        train_decoder(small_recipe(), work, "cpu", resume=True)


def test_a_missing_bridge_is_named(work: Path) -> None:
    (work / "bridge" / "model").rename(work / "away")
    with pytest.raises(TrainingError, match="run `diffusion-link train-bridge`"):
        train_decoder(small_recipe(), work, "cpu", resume=False)


def test_a_bridge_of_another_width_is_refused(work: Path) -> None:
    save_bridge(Identity(IdentityConfig(dim=8)), work / "bridge" / "model")
    with pytest.raises(TrainingError, match="width 8"):
        train_decoder(small_recipe(), work, "cpu", resume=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"inputs": {"text": 0.0}},
        {"inputs": {"images": 1.0}},
        {"vocab_size": 100},
        {"prefix_length": 23},
        {"language_model": {"hidden_size": 30, "num_heads": 4}},
        {"colour": "blue"},
    ],
)
def test_a_wrong_section_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        small_recipe(**settings)


def test_a_finished_decoder_is_found_and_an_unfinished_one_finished(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = Identity(IdentityConfig(dim=pairs.dim))

    def make(made_from: str = "these", *, resume: bool = True) -> None:
        directory = work / "decoders" / "a"
        device = torch.device("cpu")
        make_decoder(
            small_recipe(), directory, {"scenes": made_from}, pairs, texts, pairs.first(8), bridge, device, resume=resume
        )

    make()
    weights = work / "decoders" / "a" / "model" / "projector.safetensors"
    content = weights.read_bytes()
    shutil.rmtree(weights.parent)
    make()
    assert weights.read_bytes() == content
    with pytest.raises(TrainingError, match="other settings or data"):
        make("others")
    with pytest.raises(TrainingError, match="earlier run"):
        make(resume=False)
    monkeypatch.delattr(TrainingLoop, "run")
    make()
    assert weights.read_bytes() == content
