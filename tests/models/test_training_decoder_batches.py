"""What train-decoder learns from: the inputs that the recipe names, drawn in batches, and the losses of their shares."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.bridge.c3 import C3
from models.bridge.identity import Identity, IdentityConfig
from models.clap.encoder import ClapEncoder
from models.training.embed import EmbeddingSet
from models.training.processes import Share
from models.training.train_decoder import DecoderTrainer
from tests.models.decoder_work import SMALL, small_recipe, write_decoder_work


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    return write_decoder_work(tmp_path, tiny_clap)


def _trainer(work: Path, **settings: Any) -> DecoderTrainer:
    pairs = EmbeddingSet.load(work, "bridge")
    bridge = Identity(IdentityConfig(dim=pairs.dim))
    texts = EmbeddingSet.load(work, "encoder")
    return DecoderTrainer(small_recipe(**settings), pairs, texts, pairs.first(8), bridge, torch.device("cpu"))


def _row_of(embedding_set: EmbeddingSet) -> dict[str, Tensor]:
    """The text embedding of each caption."""
    return dict(zip(embedding_set.captions, embedding_set.text, strict=True))


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


def test_texts_are_read_on_the_side_where_the_bridge_brings_audio_to(work: Path) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = C3.fit(pairs.audio, pairs.text[pairs.offsets[:-1]])
    recipe = small_recipe(noise_variance=0.0)
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
    trainer = DecoderTrainer(small_recipe(inputs=inputs), pairs, said, pairs.first(8), bridge, torch.device("cpu"))
    assert bridge.bridged == (len(pairs.audio) if heard else 0) + 8
    assert (bridge.told > 0) == told
    for word, known in (("zebra", told), ("dog", heard)):
        assert (len(trainer.decoder.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1) == known


class _Turning(Identity):
    """A bridge with a network, which takes texts through it."""

    def noised_text_side(self, text_embeddings: Tensor, noise: Tensor, variance: float) -> Tensor:
        return text_embeddings @ torch.linspace(-1, 1, self.dim**2).view(self.dim, self.dim)


def test_the_bridge_computes_in_float32_whatever_the_decoder_does(work: Path) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = _Turning(IdentityConfig(dim=pairs.dim))
    trainer = DecoderTrainer(small_recipe(), pairs, texts, pairs.first(8), bridge, torch.device("cpu"))
    expected, _ = trainer.draw(20, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        drawn, _ = trainer.draw(20, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, expected)


class _Noting(Identity):
    """Notes the noise that it is given, and gives back something of its own."""

    noise, variance = torch.empty(0), -1.0

    def noised_text_side(self, text_embeddings: Tensor, noise: Tensor, variance: float) -> Tensor:
        self.noise, self.variance = noise, variance
        return text_embeddings.flip(1)


def test_how_texts_are_noised_is_the_bridges_to_say(work: Path) -> None:
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    bridge = _Noting(IdentityConfig(dim=pairs.dim))
    trainer = DecoderTrainer(small_recipe(noise_variance=0.25), pairs, texts, pairs.first(8), bridge, torch.device("cpu"))
    embeddings, captions = trainer.draw(500, torch.Generator().manual_seed(0))
    rows = _row_of(texts)
    torch.testing.assert_close(embeddings, torch.stack([rows[caption].flip(0) for caption in captions]))
    assert bridge.variance == 0.25
    assert bridge.noise.shape == (500, 16)
    assert (float(bridge.noise.mean()), float(bridge.noise.std())) == pytest.approx((0, 1), abs=0.05)


@pytest.mark.parametrize("inputs", [{"text": 1.0, "bridged": 1.0}, {"text": 1.0}, {"text": 0.0, "bridged": 1.0}])
def test_the_losses_and_gradients_of_shares_add_up_to_those_of_a_batch(work: Path, inputs: dict[str, float]) -> None:
    trainer = _trainer(work, inputs=inputs, batch_size=13)
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
        _trainer(work, loop=SMALL["loop"] | {"accumulation": accumulation}, batch_size=8) for accumulation in (1, 3)
    )
    for trainer in (whole, divided):
        trainer.decoder.eval()
    with torch.no_grad():
        assert divided.evaluate() == pytest.approx(dict(whole.evaluate()), abs=1e-5)
