"""train-decoder: it learns to write, from the inputs that the recipe names, and ends the same broken off or not."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.nn import functional

from models.bridge.c3 import C3
from models.bridge.identity import Identity, IdentityConfig
from models.bridge.store import save_bridge
from models.clap.encoder import ClapEncoder
from models.decoder.language_model import AnyLanguageModel
from models.decoder.store import load_decoder
from models.errors import TrainingError
from models.pretrained import read_pretrained
from models.training.bridge_recipe import BridgeRecipe
from models.training.decoder_recipe import DecoderRecipe
from models.training.embed import EmbeddingSet, EmbedRecipe, embed
from models.training.loop import TrainingLoop
from models.training.processes import Share
from models.training.train_bridge import train_bridge
from models.training.train_decoder import DecoderTrainer, make_decoder, train_decoder
from tests.models.released import write_released
from tests.models.training_work import log_lines, write_clap, write_corpus

_SMALL: dict[str, Any] = {
    "language_model": {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "max_positions": 24},
    "vocab_size": 300,
    "prefix_length": 2,
    "projector_dim": 32,
    "batch_size": 16,
    "loop": {"steps": 12, "learning_rate": 1e-2, "warmup_steps": 2, "checkpoint_every": 4, "evaluate_every": 6},
}


def _recipe(**settings: Any) -> DecoderRecipe:
    return DecoderRecipe.model_validate(_SMALL | settings)


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    write_corpus(tmp_path)
    write_clap(tmp_path, tiny_clap)
    embed(EmbedRecipe(), tmp_path, "cpu", resume=False)
    train_bridge(TypeAdapter(BridgeRecipe).validate_python({"kind": "mean-shift"}), tmp_path, "cpu", resume=False)
    return tmp_path


def _trainer(work: Path, **settings: Any) -> DecoderTrainer:
    pairs = EmbeddingSet.load(work, "bridge")
    bridge = Identity(IdentityConfig(dim=pairs.dim))
    texts = EmbeddingSet.load(work, "encoder")
    return DecoderTrainer(_recipe(**settings), pairs, texts, pairs.first(8), bridge, torch.device("cpu"))


def _row_of(embedding_set: EmbeddingSet) -> dict[str, Tensor]:
    """The text embedding of each caption."""
    return dict(zip(embedding_set.captions, embedding_set.text, strict=True))


def test_a_run_learns_and_leaves_a_decoder(work: Path) -> None:
    loop = _SMALL["loop"] | {"steps": 60, "evaluate_every": 20, "log_every": 20}
    train_decoder(_recipe(loop=loop), work, "cpu", resume=False)
    decoder = load_decoder(work / "decoder" / "model")
    losses = [line["validation_loss_text"] for line in log_lines(work / "decoder") if "validation_loss_text" in line]
    assert len(losses) == 3
    assert losses[-1] < 0.6 * losses[0]
    embeddings = EmbeddingSet.load(work, "test").text[:2]
    assert all(texts[0] for texts in decoder.generate(embeddings, seeds=[0, 0], candidates=1, max_new_tokens=8))


def test_a_finished_run_resumed_gives_the_same_decoder(work: Path) -> None:
    train_decoder(_recipe(), work, "cpu", resume=False)
    files = [path for path in (work / "decoder" / "model").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    train_decoder(_recipe(), work, "cpu", resume=True)
    assert {path: path.read_bytes() for path in files} == before


def test_text_rows_are_the_encoders_captions_and_others_bridged_scenes(work: Path) -> None:
    trainer = _trainer(work, inputs={"text": 1.0, "bridged": 3.0}, noise_variance=0.0)
    embeddings, captions = trainer.draw(500, torch.Generator().manual_seed(0))
    rows = _row_of(trainer.texts)
    texts = torch.stack([rows.get(caption, torch.zeros(16)) for caption in captions])
    is_text = (embeddings - texts).abs().amax(dim=1) < 1e-5
    heard = functional.normalize(trainer.pairs.audio, dim=1)
    nearest = (embeddings @ heard.T).argmax(dim=1)
    is_bridged = (embeddings - heard[nearest]).abs().amax(dim=1) < 1e-5
    assert bool((is_text ^ is_bridged).all())
    assert is_bridged.float().mean().item() == pytest.approx(0.75, abs=0.08)
    for row in is_bridged.nonzero().squeeze(1).tolist():
        first, after = trainer.pairs.offsets[nearest[row]], trainer.pairs.offsets[nearest[row] + 1]
        assert captions[row] in trainer.pairs.captions[first:after]


def test_it_learns_to_tell_of_sounds_that_no_bridged_scene_holds(work: Path) -> None:
    trainer = _trainer(work, inputs={"text": 1.0, "bridged": 0.0})
    _, captions = trainer.draw(500, torch.Generator().manual_seed(0))
    assert set(captions) == set(trainer.texts.captions)


def test_noise_has_the_variance_of_the_recipe(work: Path) -> None:
    trainer = _trainer(work, noise_variance=0.01)
    embeddings, captions = trainer.draw(2000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2000))
    rows = _row_of(trainer.texts)
    cosines = (embeddings * torch.stack([rows[caption] for caption in captions])).sum(dim=1)
    # |t + n|² is 1 + d σ² on average, and n is nearly at right angles to t.
    assert cosines.mean().item() == pytest.approx((1 + 16 * 0.01) ** -0.5, abs=0.01)


def test_the_projector_is_standardised_by_what_it_reads(work: Path) -> None:
    trainer = _trainer(work, inputs={"text": 0.0, "bridged": 1.0})
    bridged = functional.normalize(trainer.pairs.audio, dim=1)
    assert torch.allclose(trainer.decoder.projector.embedding_mean, bridged.mean(dim=0), atol=0.02)


def test_another_bridge_is_not_resumed_upon(work: Path) -> None:
    train_decoder(_recipe(), work, "cpu", resume=False)
    shutil.rmtree(work / "bridge")
    train_bridge(TypeAdapter(BridgeRecipe).validate_python({"kind": "identity"}), work, "cpu", resume=False)
    with pytest.raises(TrainingError, match="other settings or data"):
        train_decoder(_recipe(), work, "cpu", resume=True)


def test_a_missing_bridge_is_named(work: Path) -> None:
    (work / "bridge" / "model").rename(work / "away")
    with pytest.raises(TrainingError, match="run `diffusion-link train-bridge`"):
        train_decoder(_recipe(), work, "cpu", resume=False)


def test_a_bridge_of_another_width_is_refused(work: Path) -> None:
    save_bridge(Identity(IdentityConfig(dim=8)), work / "bridge" / "model")
    with pytest.raises(TrainingError, match="width 8"):
        train_decoder(_recipe(), work, "cpu", resume=False)


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
        _recipe(**settings)


def test_texts_are_read_on_the_side_where_the_bridge_brings_audio_to(work: Path) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = C3.fit(pairs.audio, pairs.text[pairs.offsets[:-1]])
    recipe = _recipe(noise_variance=0.0)
    trainer = DecoderTrainer(recipe, pairs, texts, pairs.first(8), bridge, torch.device("cpu"))
    embeddings, captions = trainer.draw(50, torch.Generator().manual_seed(0))
    rows = _row_of(texts)
    expected = functional.normalize(torch.stack([rows[caption] for caption in captions]), dim=1)
    expected = functional.normalize(expected - bridge.statistics.text_mean, dim=1)
    torch.testing.assert_close(embeddings, expected, rtol=0, atol=1e-5)


class _Counting(Identity):
    """Counts the scenes that it bridges, and the texts that it brings to its side."""

    bridged = told = 0

    def forward(self, audio_embeddings: Tensor, seeds: Sequence[int]) -> Tensor:
        self.bridged += len(audio_embeddings)
        return super().forward(audio_embeddings, seeds)

    def noised_text_side(self, text_embeddings: Tensor, noise: Tensor, variance: float) -> Tensor:
        self.told += len(text_embeddings)
        return super().noised_text_side(text_embeddings, noise, variance)


@pytest.mark.parametrize(
    ("inputs", "heard", "told"),
    [
        ({"text": 1.0, "bridged": 0.0}, False, True),
        ({"text": 0.0, "bridged": 2.0}, True, False),
        ({"text": 1.0, "bridged": 1.0}, True, True),
    ],
)
def test_what_the_shares_leave_out_costs_nothing_and_teaches_no_word(
    work: Path, inputs: dict[str, float], heard: bool, told: bool
) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    said = EmbeddingSet(texts.audio, texts.text, ["zebra"] * len(texts.text), texts.offsets, texts.source)
    bridge = _Counting(IdentityConfig(dim=pairs.dim))
    trainer = DecoderTrainer(_recipe(inputs=inputs), pairs, said, pairs.first(8), bridge, torch.device("cpu"))
    assert bridge.bridged == (len(pairs.audio) if heard else 0) + 8
    assert (bridge.told > 0) == told
    for word, known in (("zebra", told), ("dog", heard)):
        assert (len(trainer.decoder.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1) == known


def test_a_finished_decoder_is_found_and_an_unfinished_one_finished(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = Identity(IdentityConfig(dim=pairs.dim))

    def make(made_from: str = "these", *, resume: bool = True) -> None:
        directory = work / "decoders" / "a"
        device = torch.device("cpu")
        make_decoder(
            _recipe(), directory, {"scenes": made_from}, pairs, texts, pairs.first(8), bridge, device, resume=resume
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


class _Noting(Identity):
    """Notes the noise that it is given, and gives back something of its own."""

    noise, variance = torch.empty(0), -1.0

    def noised_text_side(self, text_embeddings: Tensor, noise: Tensor, variance: float) -> Tensor:
        self.noise, self.variance = noise, variance
        return text_embeddings.flip(1)


def test_how_texts_are_noised_is_the_bridges_to_say(work: Path) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = _Noting(IdentityConfig(dim=pairs.dim))
    trainer = DecoderTrainer(_recipe(noise_variance=0.25), pairs, texts, pairs.first(8), bridge, torch.device("cpu"))
    embeddings, captions = trainer.draw(500, torch.Generator().manual_seed(0))
    rows = _row_of(texts)
    torch.testing.assert_close(embeddings, torch.stack([rows[caption].flip(0) for caption in captions]))
    assert bridge.variance == 0.25
    assert bridge.noise.shape == (500, 16)
    assert (float(bridge.noise.mean()), float(bridge.noise.std())) == pytest.approx((0, 1), abs=0.05)


@pytest.fixture
def released(work: Path, tiny_artifact: Path) -> dict[str, Any]:
    """The recipe's section of a released language model, which lies in the work directory."""
    folder = work / "released"
    shutil.copytree(tiny_artifact / "decoder" / "language_model", folder)
    lora = {"targets": ["c_attn"], "dropout": 0.2}
    return {"kind": "pretrained", "source": str(folder), "lora": lora}


def _adapted(released: dict[str, Any], **loop: Any) -> DecoderRecipe:
    settings = {name: value for name, value in _SMALL.items() if name != "vocab_size"}
    loop = _SMALL["loop"] | {"accumulation": 2, "precision": "bf16", "ema_decay": 0.5} | loop
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


def test_the_losses_and_gradients_of_shares_add_up_to_those_of_a_batch(work: Path) -> None:
    trainer = _trainer(work, inputs={"text": 1.0, "bridged": 1.0}, batch_size=13)
    trainer.decoder.eval()

    def learn(shares: list[Share]) -> tuple[float, Tensor]:
        trainer.decoder.zero_grad()
        losses = [trainer.batch_loss(torch.Generator().manual_seed(5), 0, share)["loss"] for share in shares]
        torch.autograd.backward(losses)
        gradient = trainer.decoder.projector.mlp[0].weight.grad
        assert isinstance(gradient, Tensor)
        return sum(loss.item() for loss in losses), gradient.clone()

    loss, gradient = learn([Share()])
    divided_loss, divided_gradient = learn([Share(index, 3) for index in range(3)])
    assert divided_loss == pytest.approx(loss, abs=1e-5)
    torch.testing.assert_close(divided_gradient, gradient, rtol=1e-4, atol=1e-7)


def test_validation_does_not_depend_on_how_many_rows_fit(work: Path) -> None:
    whole, divided = (
        _trainer(work, loop=_SMALL["loop"] | {"accumulation": accumulation}, batch_size=8) for accumulation in (1, 3)
    )
    for trainer in (whole, divided):
        trainer.decoder.eval()
    with torch.no_grad():
        assert divided.evaluate() == pytest.approx(dict(whole.evaluate()), abs=1e-5)


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_a_released_language_model_is_tuned_and_referred_to(work: Path, tmp_path: Path, kind: str) -> None:
    source = write_released(tmp_path / "released", kind)
    released = {"kind": "pretrained", "source": str(source), "prompt": "Audio: {audio}", "lora": {"rank": 2}}
    settings = {name: value for name, value in _SMALL.items() if name != "vocab_size"} | {"language_model": released}
    recipe = DecoderRecipe.model_validate(settings | {"loop": _SMALL["loop"] | {"steps": 40, "evaluate_every": 20}})
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
