"""Our reading of LAION's checkpoints against laion-clap itself, on real recordings; needs the extra `laion`.

The checkpoints are laion-clap's own models with random weights, spread so that different sounds are far apart.
"""

import importlib.util
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import ClapConfig

from models.audio import WINDOW_SAMPLES, AudioLimits, cut_windows, decode_audio
from models.clap.convert import convert_clap
from models.clap.laion import NotCheckedError, laion_clap_model, reference_embeddings
from models.clap.laion_checkpoint import laion_config
from models.clap.store import load_clap
from tests.models.clap_releases import TEXTS, clap_config, laion_state, spread_weights, write_laion, write_tokenizer

_EXAMPLES = Path(__file__).parents[2] / "examples"
_RECORDINGS = sorted(path for path in _EXAMPLES.iterdir() if path.suffix in {".flac", ".mp3", ".ogg", ".wav"})
_SIZES = {"HTSAT-tiny": (96, [2, 2, 6, 2]), "HTSAT-base": (128, [2, 2, 12, 2])}


def test_sizes_that_laion_clap_has_not_are_not_checked() -> None:
    with pytest.raises(NotCheckedError, match="no model of these sizes"):
        laion_clap_model(clap_config())


@pytest.mark.skipif(importlib.util.find_spec("laion_clap") is not None, reason="laion-clap is installed")
def test_without_laion_clap_nothing_is_checked() -> None:
    with pytest.raises(NotCheckedError, match=r"laion_clap .*not installed"):
        laion_clap_model(_config("HTSAT-tiny", fused=False))


def test_a_laion_clap_that_cannot_be_imported_checks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.clap.laion.find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "laion_clap", None)
    with pytest.raises(NotCheckedError, match="it cannot be imported"):
        laion_clap_model(_config("HTSAT-tiny", fused=False))


needs_laion_clap = pytest.mark.skipif(
    importlib.util.find_spec("laion_clap") is None, reason="laion-clap is not installed: pip install '.[laion]'"
)


@needs_laion_clap
@pytest.mark.parametrize(
    ("name", "fused"), [("HTSAT-tiny", False), ("HTSAT-tiny", True), ("HTSAT-base", False), ("HTSAT-base", True)]
)
def test_ours_embeds_as_laion_clap_does(name: str, fused: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = _laion_own_state(_config(name, fused=fused))
    path = write_laion(tmp_path / "checkpoint.pt", state)
    convert_clap(str(path), tmp_path / "clap", tokenizer=str(write_tokenizer(tmp_path / "tokenizer")))
    assert "checked against laion-clap: cosine" in capsys.readouterr().out
    encoder = load_clap(tmp_path / "clap")
    clips = [decode_audio(path.read_bytes(), AudioLimits()) for path in _RECORDINGS]
    waveforms = [torch.from_numpy(clip.samples[:WINDOW_SAMPLES]) for clip in clips]
    windows = torch.from_numpy(np.stack([cut_windows(clip)[0] for clip in clips]))

    theirs, their_texts = reference_embeddings(encoder, state, waveforms, TEXTS)
    rounded, _ = reference_embeddings(encoder, state, waveforms, TEXTS, int16=True)
    ours, our_texts = encoder.embed_audio(windows), encoder.embed_texts(TEXTS)
    figures = {
        "audio": _least(ours, theirs),
        "texts": _least(our_texts, their_texts),
        "audio, theirs rounded to int16": _least(ours, rounded),
        "theirs rounded against theirs": _least(theirs, rounded),
        "other sounds": float((theirs @ theirs.T).min()),
    }
    # Shown with --log-cli-level=INFO.
    logging.info("%s, fused: %s; %s", name, fused, ", ".join(f"{what} {cosine:.6f}" for what, cosine in figures.items()))
    assert figures["audio"] >= 0.9999
    assert figures["texts"] >= 0.9999
    # Were all embeddings alike, the agreement would mean nothing.
    assert figures["other sounds"] < 0.95
    # laion-clap rounds what it reads from files to 16 bits. Training and serving do not, and it makes little difference.
    assert figures["audio, theirs rounded to int16"] >= 0.995


@needs_laion_clap
def test_our_notes_of_its_names_are_its_names() -> None:
    for fused in (False, True):
        own = _laion_own_state(_config("HTSAT-tiny", fused=fused))
        noted = laion_state(fused=fused)
        ours = {name for name in noted if ".layers." not in name and ".layer." not in name}
        theirs = {name for name in own if ".layers." not in name and ".layer." not in name}
        # transformers no longer keeps the positions' numbers in a checkpoint; LAION's released ones have them.
        assert ours - {"text_branch.embeddings.position_ids"} == theirs
        block = "audio_branch.layers.0.blocks.1."
        assert {name for name in noted if name.startswith(block)} == {name for name in own if name.startswith(block)}


def _config(name: str, *, fused: bool) -> ClapConfig:
    """LAION's sizes, but for a small vocabulary and two layers of text."""
    config = laion_config(laion_state(fused=fused))
    audio, text = config.audio_config.to_dict(), config.text_config.to_dict()
    dim, depths = _SIZES[name]
    heads = [4, 8, 16, 32]
    audio |= {"patch_embeds_hidden_size": dim, "hidden_size": 8 * dim, "depths": depths, "num_attention_heads": heads}
    text |= {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    return ClapConfig(text_config=text, audio_config=audio, projection_dim=512)


def _laion_own_state(config: ClapConfig) -> dict[str, Tensor]:
    return spread_weights(laion_clap_model(config).model.state_dict())


def _least(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum(dim=1).min())
