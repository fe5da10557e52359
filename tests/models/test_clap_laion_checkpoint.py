"""LAION's checkpoints: sizes from shapes, every tensor under its other name, and refusals that say why."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import ClapModel

from models.clap.laion_checkpoint import laion_config, transformers_state
from models.clap.strict_state import fill_clap
from models.errors import SourceError
from tests.models.clap_releases import clap_config, laion_state

_BLOCK = "audio_branch.layers.0.blocks.1."
_OURS = "audio_model.audio_encoder.layers.0.blocks.1."


@pytest.mark.parametrize("fused", [False, True])
def test_sizes_are_read_off_the_shapes(fused: bool) -> None:
    read, expected = laion_config(laion_state(fused=fused)).to_dict(), clap_config(fused=fused).to_dict()
    assert read["projection_dim"] == 16
    assert read["audio_config"].pop("fusion_type") == ("aff_2d" if fused else None)
    del expected["audio_config"]["fusion_type"]
    assert list(read["audio_config"].pop("patch_stride")) == list(expected["audio_config"].pop("patch_stride"))
    assert read["audio_config"] == expected["audio_config"]
    assert read["text_config"].pop("layer_norm_eps") == 1e-5
    del expected["text_config"]["layer_norm_eps"]
    assert read["text_config"] == expected["text_config"]


@pytest.mark.parametrize("fused", [False, True])
def test_every_tensor_finds_its_place(fused: bool) -> None:
    state = laion_state(fused=fused)
    model = ClapModel(laion_config(state))
    fill_clap(model, transformers_state(state))
    filled = model.state_dict()
    for theirs, ours in (
        ("audio_branch.bn0.running_mean", "audio_model.audio_encoder.batch_norm.running_mean"),
        ("audio_branch.norm.weight", "audio_model.audio_encoder.norm.weight"),
        ("audio_branch.patch_embed.norm.bias", "audio_model.audio_encoder.patch_embed.norm.bias"),
        ("audio_branch.layers.0.downsample.norm.weight", "audio_model.audio_encoder.layers.0.downsample.norm.weight"),
        (_BLOCK + "norm1.weight", _OURS + "layernorm_before.weight"),
        (_BLOCK + "norm2.weight", _OURS + "layernorm_after.weight"),
        (_BLOCK + "attn.proj.weight", _OURS + "attention.output.dense.weight"),
        (_BLOCK + "attn.relative_position_bias_table", _OURS + "attention.self.relative_position_bias_table"),
        (_BLOCK + "mlp.fc1.bias", _OURS + "intermediate.dense.bias"),
        (_BLOCK + "mlp.fc2.bias", _OURS + "output.dense.bias"),
        ("text_branch.encoder.layer.1.output.LayerNorm.weight", "text_model.encoder.layer.1.output.LayerNorm.weight"),
        ("audio_projection.0.weight", "audio_projection.linear1.weight"),
        ("text_projection.2.bias", "text_projection.linear2.bias"),
        ("logit_scale_a", "logit_scale_a"),
        ("logit_scale_t", "logit_scale_t"),
    ):
        assert torch.equal(filled[ours], state[theirs]), ours
    joint = state[_BLOCK + "attn.qkv.weight"]
    for part, name in enumerate(("query", "key", "value")):
        assert torch.equal(filled[f"{_OURS}attention.self.{name}.weight"], joint[8 * part : 8 * (part + 1)])


def _without(start: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {name: tensor for name, tensor in state.items() if not name.startswith(start)}


def _with(**changes: Tensor) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: state | {name.replace("__", "."): tensor for name, tensor in changes.items()}


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_without("audio_branch"), "not a checkpoint of LAION-CLAP"),
        (_with(audio_branch__conv_block1__conv1__weight=torch.zeros(1)), "its audio tower is PANN"),
        (_without("text_branch"), "text tower is not RoBERTa"),
        (_with(text_branch__embeddings__token_type_embeddings__weight=torch.zeros(2, 64)), "text tower is not RoBERTa"),
        (_with(audio_branch__logmel_extractor__melW=torch.zeros(769, 64)), "another rate, FFT or mel bank"),
        (_with(audio_branch__logmel_extractor__melW=torch.zeros(513, 64)), "another rate, FFT or mel bank"),
        (_with(audio_branch__bn0__weight=torch.zeros(128)), "takes 128 mels, not 64"),
        (_with(text_branch__embeddings__token_type_embeddings__weight=torch.tensor(1.0)), "text tower is not RoBERTa"),
        (_with(audio_branch__patch_embed__proj__weight=torch.zeros(8)), r"patch_embed.proj.weight has shape \(8,\)"),
        (_with(audio_branch__patch_embed__proj__weight=torch.zeros(0, 1, 4, 4)), r"has shape \(0, 1, 4, 4\)"),
        (_without("audio_branch.layers"), "it lacks audio_branch.layers"),
        (_without("text_branch.encoder.layer.0.intermediate"), "it lacks text_branch.encoder.layer.0.intermediate"),
        (_without("audio_projection.2"), "it lacks audio_projection.2.weight"),
    ],
)
def test_other_checkpoints_are_refused(edit: Callable[[dict[str, Tensor]], dict[str, Tensor]], reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        laion_config(edit(laion_state()))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_without("audio_branch.norm.weight"), "it lacks audio_model.audio_encoder.norm.weight"),
        (_with(audio_branch__mel_conv1d__0__weight=torch.zeros(1)), "holds audio_model.audio_encoder.mel_conv1d.0.weight"),
        (_with(extra=torch.zeros(1)), "holds extra, which is unknown"),
        (_with(audio_branch__norm__bias=torch.zeros(3)), r"norm.bias has shape \(3,\), expected \(64,\)"),
        (_with(audio_branch__norm__bias=torch.full((64,), torch.inf)), "norm.bias holds what is not a number"),
        (_with(audio_branch__norm__bias=torch.zeros(64).to(torch.float8_e4m3fn)), "norm.bias holds what is not a number"),
        (
            _with(**{_BLOCK.replace(".", "__") + "attn__qkv__weight": torch.zeros(4, 8)}),
            "it lacks .*attention.self.key.weight",
        ),
        (_with(audio_branch__norm__bias=torch.zeros(64, dtype=torch.long)), "norm.bias holds what is not a number"),
        (_without("text_branch.encoder.layer.0.attention"), "it lacks .*; it lacks .* and 5 faults more"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(edit: Callable[[dict[str, Tensor]], dict[str, Tensor]], reason: str) -> None:
    state = edit(laion_state())
    model = ClapModel(laion_config(state))
    with pytest.raises(SourceError, match=reason):
        fill_clap(model, transformers_state(state))


@pytest.mark.parametrize(
    "edit",
    [
        lambda state: state.pop("text_model.embeddings.position_ids"),
        lambda state: state.pop(f"{_OURS}attention.self.relative_position_index"),
        lambda state: state.update({name: tensor.half() for name, tensor in state.items() if tensor.is_floating_point()}),
    ],
)
def test_tables_may_be_left_out_and_halves_are_widened(edit: Callable[[dict[str, Tensor]], Any]) -> None:
    model = ClapModel(clap_config())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    edit(state)
    fill_clap(model, state)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}


def test_a_table_that_is_not_the_sizes_own_is_refused() -> None:
    model = ClapModel(clap_config())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["text_model.embeddings.position_ids"] += 1
    with pytest.raises(SourceError, match="position_ids is not the table"):
        fill_clap(model, state)
