"""train-decoder around a released language model: what learns of it, what is kept, and what it is known again by."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from models.clap.encoder import ClapEncoder
from models.decoder.language_model import AnyLanguageModel
from models.decoder.store import load_decoder
from models.errors import TrainingError
from models.pretrained import read_pretrained
from models.training.decoder_recipe import DecoderRecipe
from models.training.embed import EmbeddingSet
from models.training.loop import TrainingLoop
from models.training.train_decoder import train_decoder
from tests.models.decoder_work import SMALL, write_decoder_work
from tests.models.released import write_released
from tests.models.training_work import log_lines


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    return write_decoder_work(tmp_path, tiny_clap)


@pytest.fixture
def released(work: Path, tiny_artifact: Path) -> dict[str, Any]:
    """The recipe's section of a released language model, which lies in the work directory."""
    folder = work / "released"
    shutil.copytree(tiny_artifact / "decoder" / "language_model", folder)
    lora = {"targets": ["c_attn"], "dropout": 0.2}
    return {"kind": "pretrained", "source": str(folder), "lora": lora}


def _adapted(released: dict[str, Any], **loop: Any) -> DecoderRecipe:
    settings = {name: value for name, value in SMALL.items() if name != "vocab_size"}
    loop = SMALL["loop"] | {"accumulation": 2, "precision": "bf16", "ema_decay": 0.5} | loop
    return DecoderRecipe.model_validate(settings | {"language_model": released, "loop": loop})


def test_an_adapter_is_all_of_a_released_model_that_a_checkpoint_holds(work: Path, released: dict[str, Any]) -> None:
    train_decoder(_adapted(released), work, "cpu", resume=False)
    checkpoint = torch.load(work / "decoder" / "checkpoint.pt", weights_only=True)
    for kept in ("module", "average"):
        assert all("lora" in name or name.startswith("projector.") for name in checkpoint[kept])
        assert {tensor.dtype for tensor in checkpoint[kept].values()} == {torch.float32}


def test_a_broken_training_of_an_adapter_ends_like_an_unbroken_one(
    work: Path, released: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights() -> dict[str, bytes]:
        files = (work / "decoder" / "model").rglob("*.safetensors")
        return {path.name: path.read_bytes() for path in files}

    train_decoder(_adapted(released), work, "cpu", resume=False)
    unbroken = weights()
    assert unbroken.keys() == {"projector.safetensors", "adapter_model.safetensors"}
    shutil.rmtree(work / "decoder")
    one_step = TrainingLoop._one_step

    def until_the_eighth(self: TrainingLoop, batch_loss: Any) -> Any:
        if self.step == 7:
            raise KeyboardInterrupt
        return one_step(self, batch_loss)

    monkeypatch.setattr(TrainingLoop, "_one_step", until_the_eighth)
    with pytest.raises(KeyboardInterrupt):
        train_decoder(_adapted(released), work, "cpu", resume=False)
    monkeypatch.undo()
    train_decoder(_adapted(released), work, "cpu", resume=True)
    assert weights() == unbroken


def test_a_released_model_that_has_changed_is_not_resumed_upon(work: Path, released: dict[str, Any]) -> None:
    recipe = _adapted(released, steps=1)
    train_decoder(recipe, work, "cpu", resume=False)
    (work / "released" / "notes.md").write_text("of no consequence", encoding="utf-8")
    train_decoder(recipe, work, "cpu", resume=True)
    config = work / "released" / "generation_config.json"
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="other settings or data"):
        train_decoder(recipe, work, "cpu", resume=True)


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_a_released_language_model_is_tuned_and_referred_to(work: Path, tmp_path: Path, kind: str) -> None:
    source = write_released(tmp_path / "released", kind)
    released = {"kind": "pretrained", "source": str(source), "prompt": "Audio: {audio}", "lora": {"rank": 2}}
    settings = {name: value for name, value in SMALL.items() if name != "vocab_size"} | {"language_model": released}
    recipe = DecoderRecipe.model_validate(settings | {"loop": SMALL["loop"] | {"steps": 40, "evaluate_every": 20}})
    train_decoder(recipe, work, "cpu", resume=False)
    losses = [line["validation_loss_text"] for line in log_lines(work / "decoder") if "validation_loss_text" in line]
    assert losses[-1] < losses[0]
    model = work / "decoder" / "model"
    assert {path.name for path in (model / "language_model").iterdir()} == {"reference.json", "adapter"}
    decoder = load_decoder(model)
    untouched = read_pretrained(source, AnyLanguageModel)[0].state_dict()
    changed = {name for name, tensor in decoder.language_model.state_dict().items() if not tensor.equal(untouched[name])}
    assert changed
    assert all("q_proj" in name or "v_proj" in name for name in changed)
    embeddings = EmbeddingSet.load(work, "test").text[:2]
    assert all(texts[0] for texts in decoder.generate(embeddings, seeds=[0, 0], candidates=1, max_new_tokens=8))
