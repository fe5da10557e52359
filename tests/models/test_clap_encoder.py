"""The encoder, with either audio tower: unit vectors that depend on nothing but their own input."""

from typing import Literal

import pytest
import torch

from models.audio import WINDOW_SAMPLES
from models.clap.encoder import ClapEncoder
from models.clap.small import SmallClapConfig, build_small_clap
from models.clap.tokenizer import train_clap_tokenizer

_TEXTS = ["a dog barks", "rain is falling while a man laughs", "Größe 雨 🐕"]


def make_encoder(tower: Literal["cnn", "htsat"]) -> ClapEncoder:
    torch.manual_seed(0)
    config = SmallClapConfig(
        dim=16, tower=tower, channels=(4, 8), htsat_dim=8, text_dim=16, text_layers=1, text_heads=2, max_text_tokens=24
    )
    return build_small_clap(config, train_clap_tokenizer(_TEXTS, 300)).eval().requires_grad_(False)


@pytest.fixture(params=["cnn", "htsat"])
def encoder(request: pytest.FixtureRequest) -> ClapEncoder:
    return make_encoder(request.param)


def _windows() -> torch.Tensor:
    return 0.1 * torch.randn(3, WINDOW_SAMPLES, generator=torch.Generator().manual_seed(0))


def test_audio_embeddings_are_unit_vectors_that_know_no_company(encoder: ClapEncoder) -> None:
    windows = _windows()
    together = encoder.embed_audio(windows)
    assert together.shape == (3, encoder.dim) == (3, 16)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    alone = torch.cat([encoder.embed_audio(windows[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-4)


def test_text_embeddings_are_unit_vectors_that_know_no_company(encoder: ClapEncoder) -> None:
    together = encoder.embed_texts(_TEXTS)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(together, torch.cat([encoder.embed_texts([text]) for text in _TEXTS]), atol=1e-4)
    assert encoder.embed_texts([]).shape == (0, 16)


def test_long_texts_are_cut_to_the_towers_positions(encoder: ClapEncoder) -> None:
    long = "a dog barks " * 50
    assert encoder.max_text_tokens == 24
    assert torch.equal(encoder.embed_texts([long]), encoder.embed_texts([long + "and rain is falling"]))


def test_spectrograms_and_audio_are_the_same_door(encoder: ClapEncoder) -> None:
    windows = _windows()
    assert torch.equal(encoder.embed_log_mel(encoder.log_mel(windows)), encoder.embed_audio(windows))
    assert encoder.device == torch.device("cpu")
