"""The encoder, with either audio tower: unit vectors that depend on nothing but their own input."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from models.audio import WINDOW_SAMPLES
from models.clap.encoder import ClapEncoder
from models.clap.small import SmallClapConfig, build_small_clap
from models.clap.store import load_clap
from models.clap.tokenizer import train_clap_tokenizer
from tests.models.clap_releases import write_transformers

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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_the_same_embeddings_in_float32(encoder: ClapEncoder, dtype: torch.dtype) -> None:
    windows = _windows()
    half = ClapEncoder(encoder.model, encoder.tokenizer, dtype).eval()
    for ours, exact in (
        (half.embed_audio(windows), encoder.embed_audio(windows)),
        (half.embed_texts(_TEXTS), encoder.embed_texts(_TEXTS)),
    ):
        assert ours.dtype == torch.float32
        assert torch.allclose(ours.norm(dim=1), torch.ones(3), atol=1e-5)
        assert float((ours * exact).sum(dim=1).min()) > 0.999
        assert not torch.equal(ours, exact)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float32}


def test_a_loop_around_it_may_choose_the_precision(encoder: ClapEncoder) -> None:
    exact = encoder.embed_texts(_TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(encoder.embed_texts(_TEXTS), exact)


def test_compiling_changes_neither_names_nor_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    # All of torch.compile but the C++ compiler, which takes half a minute. Not the CNN: torch.compile cannot see through
    # the checks of types that tests put around our own functions.
    encoder = make_encoder("htsat")
    in_place = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: in_place(module, backend=count))
    graphs = []

    def count(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    names, windows = list(encoder.state_dict()), _windows().repeat(2, 1)
    exact = encoder.embed_audio(windows)
    encoder.compile_towers()
    for size in (1, 2, 3, 6, 1):
        assert torch.allclose(encoder.embed_audio(windows[:size]), exact[:size], atol=1e-5)
    assert len(graphs) == 2
    assert list(encoder.state_dict()) == names
    assert type(encoder.model.audio_model).__name__ == "ClapAudioModel"


def test_a_fused_tower_gives_each_window_what_it_gives_it_alone(tmp_path: Path) -> None:
    write_transformers(tmp_path, fused=True)
    encoder, windows = load_clap(tmp_path), _windows()
    together = encoder.embed_audio(windows)
    assert torch.allclose(together, torch.cat([encoder.embed_audio(window.unsqueeze(0)) for window in windows]), atol=1e-4)
    # What transformers' extractor makes of the same batch: one window, chosen by chance, is called longer.
    is_longer = torch.tensor([[False], [True], [False]])
    features = encoder.log_mel(windows).unsqueeze(1).repeat(1, 4, 1, 1)
    theirs = encoder.model.get_audio_features(features, is_longer=is_longer).pooler_output
    assert torch.allclose(theirs[0], together[0], atol=1e-5)
    assert not torch.allclose(theirs[1], together[1], atol=1e-2)
