"""Decoders survive the disk, and whatever is wrong with their files is refused by name and reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.small import build_small_language_model
from models.decoder.store import load_decoder, save_decoder
from models.decoder.tokenizer import train_tokenizer
from models.errors import ArtifactError

_EMBEDDINGS = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=1)
_MODEL_WEIGHTS = "language_model/model.safetensors"


def _decoder() -> CaptionDecoder:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["a dog barks", "rain is falling"], 270)
    model = build_small_language_model(tokenizer, hidden_size=16, num_layers=1, num_heads=2, max_positions=16)
    decoder = CaptionDecoder(DecoderConfig(dim=8, prefix_length=2, projector_dim=8, num_beams=2), model, tokenizer)
    decoder.projector.fit_statistics(_EMBEDDINGS)
    return decoder.eval()


def _captions(decoder: CaptionDecoder) -> list[list[str]]:
    return decoder.generate(_EMBEDDINGS, seeds=range(4), candidates=2, max_new_tokens=8)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save_decoder(_decoder(), tmp_path)
    return tmp_path


def test_a_decoder_survives_the_disk(stored: Path) -> None:
    decoder, loaded = _decoder(), load_decoder(stored, "cpu")
    assert loaded.config == decoder.config
    assert loaded.dim == 8
    assert not loaded.training
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in decoder.state_dict().items())
    assert _captions(loaded) == _captions(decoder)


def test_the_files_are_the_contracts(stored: Path) -> None:
    names = {path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file()}
    assert names == {
        "config.json",
        "projector.safetensors",
        "language_model/config.json",
        "language_model/generation_config.json",
        _MODEL_WEIGHTS,
        "language_model/tokenizer.json",
        "language_model/tokenizer_config.json",
    }


def test_half_precision_on_disk_is_float32_in_use(tmp_path: Path) -> None:
    decoder = _decoder()
    save_decoder(decoder, tmp_path, torch.float16)
    assert {tensor.dtype for tensor in load_file(tmp_path / _MODEL_WEIGHTS).values()} == {torch.float16}
    assert load_file(tmp_path / "projector.safetensors")["embedding_mean"].dtype == torch.float32
    loaded = load_decoder(tmp_path)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    difference = loaded.loss(_EMBEDDINGS, ["rain"] * 4) - decoder.loss(_EMBEDDINGS, ["rain"] * 4)
    assert abs(difference.item()) < 1e-2
    assert decoder.language_model.dtype == torch.float32


def test_defaults_of_a_released_model_do_not_leak_into_searches() -> None:
    source = _decoder()
    model = source.language_model
    assert model.generation_config is not None
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.do_sample = True
    assert _captions(CaptionDecoder(source.config, model, source.tokenizer)) is not None
    assert model.generation_config.do_sample is not True
    assert model.generation_config.repetition_penalty is None


def _edit_json(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda c: c.pop("dim"), "dim"),
        (lambda c: c.pop("top_p"), "default"),
        (lambda c: c.update(beams=2), "beams"),
        (lambda c: c.update(num_beams=0), "num_beams"),
        (lambda c: c.update(temperature="hot"), "temperature"),
    ],
)
def test_a_wrong_config_is_refused(stored: Path, edit: Callable[[dict[str, Any]], object], reason: str) -> None:
    _edit_json(stored / "config.json", edit)
    with pytest.raises(ArtifactError, match=reason) as refused:
        load_decoder(stored)
    assert refused.value.path == stored / "config.json"


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "projector.safetensors",
        "language_model/config.json",
        _MODEL_WEIGHTS,
        "language_model/tokenizer.json",
        "language_model/tokenizer_config.json",
    ],
)
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:50])])
def test_a_missing_or_truncated_file_is_refused_by_name(stored: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(stored / name)
    with pytest.raises(ArtifactError) as refused:
        load_decoder(stored)
    assert refused.value.path == stored / name


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda t: t["transformer.h.0.mlp.c_fc.bias"].fill_(torch.nan), "c_fc.bias holds NaN"),
        (lambda t: t.pop("transformer.h.0.mlp.c_fc.bias"), "missing_keys.*c_fc.bias"),
        (lambda t: t.update({"transformer.more": torch.zeros(1)}), "unexpected_keys.*more"),
        (lambda t: t.update({"transformer.h.0.mlp.c_fc.bias": torch.zeros(3)}), "language_model"),
    ],
)
def test_wrong_tensors_of_the_language_model_are_refused(
    stored: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    tensors = load_file(stored / _MODEL_WEIGHTS)
    edit(tensors)
    save_file(tensors, stored / _MODEL_WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=reason):
        load_decoder(stored)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda t: t["mlp.0.weight"][0].fill_(torch.inf), "mlp.0.weight holds NaN"),
        (
            lambda t: t.update(embedding_mean=torch.zeros(8).to(torch.float8_e4m3fn)),
            "embedding_mean holds NaN, infinity, or",
        ),
        (lambda t: t.pop("embedding_mean"), "lacks embedding_mean"),
        (lambda t: t.update(more=torch.zeros(1)), "unknown more"),
        (lambda t: t.update(embedding_mean=torch.zeros(9)), "shape"),
        (lambda t: t.update(embedding_mean=torch.zeros(8, dtype=torch.int32)), "int32"),
    ],
)
def test_wrong_tensors_of_the_projector_are_refused(
    stored: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    path = stored / "projector.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    with pytest.raises(ArtifactError, match=reason):
        load_decoder(stored)


def test_pickled_weights_are_not_looked_at(stored: Path) -> None:
    torch.save(load_file(stored / _MODEL_WEIGHTS), stored / "language_model" / "pytorch_model.bin")
    (stored / _MODEL_WEIGHTS).unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors: is missing"):
        load_decoder(stored)


def test_code_in_an_artifact_is_not_run(stored: Path) -> None:
    _edit_json(
        stored / "language_model/config.json",
        lambda c: c.update(model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}),
    )
    (stored / "language_model/evil.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    with pytest.raises(ArtifactError, match="cannot load"):
        load_decoder(stored)


def test_a_tokenizer_without_eos_is_refused(stored: Path) -> None:
    _edit_json(stored / "language_model/tokenizer_config.json", lambda c: c.pop("eos_token"))
    with pytest.raises(ArtifactError, match="EOS"):
        load_decoder(stored)


@pytest.mark.parametrize("content", [b"null", b"[]", b"\xff"])
def test_a_model_config_that_is_no_object_is_refused(stored: Path, content: bytes) -> None:
    (stored / "language_model/config.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="language_model"):
        load_decoder(stored)
