"""Folders of released models: what is not plain numbers beside plain settings is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.decoder.language_model import AnyLanguageModel
from models.errors import ArtifactError
from models.pretrained import read_json, read_pretrained
from tests.models.released import write_released

_EMBEDDINGS = "model.embed_tokens.weight"


def _with_weights(folder: Path, dtype: torch.dtype, **changes: Tensor) -> Path:
    """A model whose weights are stored as `dtype`, some of them as given."""
    path = write_released(folder) / "model.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(path).items()} | changes
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.complex64])
def test_numbers_that_stand_for_others_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = _with_weights(tmp_path, torch.float32, **{_EMBEDDINGS: torch.zeros(300, 16, dtype=dtype)})
    with pytest.raises(ArtifactError, match=f"{_EMBEDDINGS} holds NaN, infinity, or numbers of 8 bits"):
        read_pretrained(folder, AnyLanguageModel)


def test_a_weight_that_bf16_holds_and_fp16_does_not_is_refused_in_fp16_alone(tmp_path: Path) -> None:
    folder = _with_weights(tmp_path, torch.bfloat16)
    large = load_file(folder / "model.safetensors")[_EMBEDDINGS]
    large[0, 0] = 1e5
    _with_weights(folder, torch.bfloat16, **{_EMBEDDINGS: large})
    assert read_pretrained(folder, AnyLanguageModel, torch.bfloat16)
    with pytest.raises(ArtifactError, match=f"{_EMBEDDINGS} is too large for fp16"):
        read_pretrained(folder, AnyLanguageModel, torch.float16)


@pytest.mark.parametrize("shard", ["pytorch_model.bin", "../model.safetensors", [], None])
def test_an_index_leads_to_no_other_file(tmp_path: Path, shard: Any) -> None:
    folder = write_released(tmp_path / "model")
    path = (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    tensors = load_file(path)
    torch.save(tensors, folder / "pytorch_model.bin")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, path.name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_pretrained(folder, AnyLanguageModel)
    index = {"metadata": {}, "weight_map": None if shard is None else dict.fromkeys(tensors, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ArtifactError, match="names other files"):
        read_pretrained(folder, AnyLanguageModel)


def test_nobody_is_asked_whether_code_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_released(tmp_path)
    # A kind of model that transformers knows, but not as a language model: for that, the folder offers a class of its own.
    content = json.loads((folder / "config.json").read_text())
    content |= {"model_type": "clip_text_model", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    with pytest.raises(ArtifactError, match="contains custom code"):
        read_pretrained(folder, AnyLanguageModel)


@pytest.mark.parametrize("content", ["{", "\xff", "[" * 100_000])
def test_what_is_not_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ArtifactError, match="is not JSON"):
        read_json(tmp_path / "config.json")
