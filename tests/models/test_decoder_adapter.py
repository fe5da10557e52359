"""LoRA adapters: they learn and nothing else does, survive the disk as peft's own do, and end up in the weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from models.decoder.adapter import (
    Adapter,
    LoraSettings,
    adapter_of,
    add_lora,
    apply_adapter,
    merge_adapter,
    read_adapter,
    write_adapter,
)
from models.errors import ArtifactError
from tests.models.released import model_of, tokenizer_of

_TARGETS = {"llama": ("q_proj", "v_proj"), "bart": ("q_proj", "v_proj"), "gpt2": ("c_attn",), "t5": ("q", "v")}
_TOKENS = torch.tensor([[5, 6, 7, 8]])


def _model(kind: str = "llama") -> PreTrainedModel:
    return model_of(kind, tokenizer_of(kind))


def _settings(kind: str = "llama") -> LoraSettings:
    return LoraSettings(rank=2, alpha=8, targets=_TARGETS[kind], dropout=0.0)


def _logits(model: PreTrainedModel) -> Tensor:
    decoder = {"decoder_input_ids": _TOKENS} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        logits: Tensor = model(input_ids=_TOKENS, **decoder).logits
    return logits


def _trained(kind: str = "llama") -> PreTrainedModel:
    """As if trained: the second half of every pair of matrices is no longer zero."""
    model = _model(kind)
    add_lora(model, _settings(kind))
    generator = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    return model.eval()


@pytest.mark.parametrize("kind", _TARGETS)
def test_a_new_adapter_changes_nothing_and_alone_learns(kind: str) -> None:
    model = _model(kind)
    expected = _logits(model)
    add_lora(model, _settings(kind))
    torch.testing.assert_close(_logits(model), expected)
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)
    assert all(f".{target}." in " ".join(learning) for target in _TARGETS[kind])


def test_an_adapter_is_float32_in_a_model_of_half_precision() -> None:
    model = _model().to(torch.bfloat16)
    add_lora(model, _settings())
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    assert {weight.dtype for weight in model.parameters() if not weight.requires_grad} == {torch.bfloat16}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert bool(model(input_ids=_TOKENS).logits.isfinite().all())


@pytest.mark.parametrize("kind", _TARGETS)
def test_merged_weights_compute_what_the_adapter_did_and_keep_their_names(kind: str) -> None:
    model, plain = _trained(kind), _model(kind)
    expected = _logits(model)
    merge_adapter(model)
    assert not torch.allclose(_logits(plain), expected, atol=1e-3)
    torch.testing.assert_close(_logits(model), expected, rtol=1e-4, atol=1e-4)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert adapter_of(model) is None


# What peft asks of transformers has a new name since transformers 5.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("kind", _TARGETS)
def test_an_adapter_survives_the_disk_and_is_what_peft_reads(tmp_path: Path, kind: str) -> None:
    model = _trained(kind)
    adapter = adapter_of(model)
    assert adapter is not None
    write_adapter(adapter, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    applied = _model(kind)
    apply_adapter(applied, read_adapter(tmp_path))
    torch.testing.assert_close(_logits(applied), _logits(model), rtol=1e-4, atol=1e-4)
    if kind != "gpt2":  # peft warns of the way round that it finds GPT-2's weights in
        theirs = PeftModel.from_pretrained(_model(kind), str(tmp_path)).eval().base_model.model
        torch.testing.assert_close(_logits(theirs), _logits(model), rtol=1e-5, atol=1e-5)


def test_the_same_adapter_gives_the_same_files(tmp_path: Path) -> None:
    adapter = adapter_of(_trained())
    assert adapter is not None
    for name in ("a", "b"):
        write_adapter(adapter, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["target_modules"] == ["q_proj", "v_proj"]


@pytest.mark.parametrize("targets", [("q_proj", "c_attn"), ("proj",), ("layers",), ("embed_tokens",)])
def test_a_layer_that_is_not_there_is_named(targets: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"no linear layer named {targets[-1]}"):
        add_lora(_model(), LoraSettings(targets=targets))


def test_a_layer_that_shares_its_weights_with_the_embeddings_is_no_target() -> None:
    tied, untied = _model("bart"), _model("llama")
    with pytest.raises(ValueError, match="lm_head shares its weights"):
        add_lora(tied, LoraSettings(targets=("q_proj", "lm_head")))
    add_lora(untied, LoraSettings(targets=("q_proj", "lm_head")))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    adapter = adapter_of(_trained())
    assert adapter is not None
    write_adapter(adapter, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda c: c.update(use_dora=True), "use_dora"),
        (lambda c: c.update(use_rslora=True), "use_rslora"),
        (lambda c: c.update(alpha_pattern={"q_proj": 99}), "alpha_pattern"),
        (lambda c: c.update(megatron_config={}, megatron_core="evil"), "megatron_config, megatron_core"),
        (lambda c: c.update(peft_type="IA3"), "peft_type"),
        (lambda c: c.update(from_tomorrow=1), "from_tomorrow"),
        (lambda c: c.update(target_modules="all-linear"), "targets"),
        (lambda c: c.update(r=0), "rank"),
        (lambda c: c.pop("lora_alpha"), "alpha"),
    ],
)
def test_what_is_no_plain_lora_is_refused(stored: Path, edit: Callable[[dict[str, Any]], object], reason: str) -> None:
    path = stored / "adapter_config.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=reason) as refused:
        read_adapter(stored)
    assert refused.value.path == path


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:40])])
def test_a_missing_or_damaged_file_is_named(stored: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(stored / name)
    with pytest.raises(ArtifactError) as refused:
        read_adapter(stored)
    assert refused.value.path == stored / name


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda tensor: tensor.fill_(torch.nan), "finite"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "finite"),
        (lambda tensor: torch.zeros(3, 3), r"shape \(3, 3\), which is not of rank 2"),
    ],
)
def test_tensors_that_are_none_of_an_adapters_are_refused(
    stored: Path, edit: Callable[[Tensor], Tensor], reason: str
) -> None:
    tensors = load_file(stored / "adapter_model.safetensors")
    name, tensor = next(iter(tensors.items()))
    save_file(tensors | {name: edit(tensor)}, stored / "adapter_model.safetensors")
    with pytest.raises(ArtifactError, match=reason):
        read_adapter(stored)


def test_an_adapter_that_makes_infinite_weights_is_refused() -> None:
    adapter = adapter_of(_trained())
    assert adapter is not None
    huge = adapter.settings.model_copy(update={"alpha": 10**60})
    with pytest.raises(ValueError, match="broken"):
        apply_adapter(_model(), Adapter(huge, adapter.tensors))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda t: t.pop(next(iter(t))), "not those of this language model"),
        (lambda t: t.update(more=torch.zeros(1)), "more"),
        (lambda t: t.update({next(iter(t)): torch.zeros(2, 3)}), "shape"),
    ],
)
def test_an_adapter_of_another_model_is_refused(
    stored: Path, edit: Callable[[dict[str, Tensor]], object], reason: str
) -> None:
    adapter = read_adapter(stored)
    edit(adapter.tensors)
    with pytest.raises(ValueError, match=reason):
        apply_adapter(_model(), adapter)
