"""Encoders survive the disk, and whatever is wrong with their files is refused by name and reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ClapModel

from models.clap.store import load_clap, save_clap
from models.errors import ArtifactError
from tests.models.clap_releases import preprocessor
from tests.models.test_clap_encoder import make_encoder

_LOG_MEL = -100 * torch.rand(2, 1001, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save_clap(make_encoder("cnn"), tmp_path)
    return tmp_path


@pytest.mark.parametrize("tower", ["cnn", "htsat"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float16, 5e-3)])
def test_an_encoder_survives_the_disk(tmp_path: Path, tower: Any, dtype: torch.dtype, tolerance: float) -> None:
    encoder = make_encoder(tower)
    save_clap(encoder, tmp_path, dtype)
    loaded = load_clap(tmp_path)
    assert not loaded.training
    assert torch.allclose(loaded.embed_log_mel(_LOG_MEL), encoder.embed_log_mel(_LOG_MEL), atol=tolerance)
    assert torch.allclose(loaded.embed_texts(["rain"]), encoder.embed_texts(["rain"]), atol=tolerance)
    assert encoder.model.dtype == torch.float32


def test_an_encoder_with_htsat_is_a_plain_transformers_directory(tmp_path: Path) -> None:
    save_clap(make_encoder("htsat"), tmp_path)
    model, report = ClapModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.config.projection_dim == 16


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:50])])
def test_a_missing_or_truncated_file_is_refused_by_name(stored: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(stored / name)
    with pytest.raises(ArtifactError) as refused:
        load_clap(stored)
    assert refused.value.path == stored / name


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda t: t["audio_projection.linear1.bias"].fill_(torch.nan), "audio_projection.linear1.bias holds NaN"),
        (lambda t: t.pop("audio_model.stem.0.weight"), "missing_keys.*stem.0.weight"),
        (lambda t: t.update(more=torch.zeros(1)), "unexpected_keys.*more"),
    ],
)
def test_wrong_tensors_are_refused(stored: Path, edit: Callable[[dict[str, Any]], object], reason: str) -> None:
    tensors = load_file(stored / "model.safetensors")
    edit(tensors)
    save_file(tensors, stored / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=reason):
        load_clap(stored)


@pytest.mark.parametrize("content", ["[]", "null", '{"model_type": "gpt2"}'])
def test_a_config_of_something_else_is_refused(stored: Path, content: str) -> None:
    (stored / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match="not the configuration of a CLAP model"):
        load_clap(stored)


def test_settings_that_no_tower_has_are_refused(stored: Path) -> None:
    content = json.loads((stored / "config.json").read_bytes())
    content["cnn_tower"]["width"] = 3
    (stored / "config.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ArtifactError, match="width"):
        load_clap(stored)


@pytest.mark.parametrize("fused", [False, True])
def test_the_preprocessor_of_a_release_may_stand_beside_it(stored: Path, fused: bool) -> None:
    (stored / "preprocessor_config.json").write_text(json.dumps(preprocessor(fused=fused)))
    assert load_clap(stored).dim == 16


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling_rate", 44100),
        ("fft_window_size", 1536),
        ("hop_length", 320),
        ("feature_size", 128),
        ("frequency_min", 0),
        ("frequency_max", 18000),
        ("frequency_max", None),
    ],
)
def test_other_spectrograms_are_refused_by_name(stored: Path, name: str, value: object) -> None:
    path = stored / "preprocessor_config.json"
    path.write_text(json.dumps(preprocessor() | {name: value}))
    with pytest.raises(ArtifactError, match=f"{name} is {value!r}; spectrograms here have") as refused:
        load_clap(stored)
    assert refused.value.path == path


@pytest.mark.parametrize("content", ["[]", "{", "{}"])
def test_a_preprocessor_that_is_none_is_refused(stored: Path, content: str) -> None:
    (stored / "preprocessor_config.json").write_text(content)
    with pytest.raises(ArtifactError, match="preprocessor_config"):
        load_clap(stored)


def test_the_precision_is_the_towers_and_not_the_weights(stored: Path) -> None:
    loaded = load_clap(stored, dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    assert loaded.model.dtype == torch.float32
