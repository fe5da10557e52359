"""LAION-CLAP's own checkpoints as transformers' `ClapModel`: sizes read off the shapes, each tensor under its other name.

The towers are those of laion-clap's `CLAP`: HTSAT, fused ("aff_2d") or not, and RoBERTa. What it has beside them serves
its training only. Anything else is refused.
"""

import re
from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor
from transformers import ClapAudioConfig, ClapConfig, ClapTextConfig

from models.clap.log_mel import NUM_MELS, LogMel
from models.errors import SourceError

_AUDIO, _TEXT = "audio_branch.", "text_branch."
_DROPPED = re.compile(
    # The class head of HTSAT, and the second projections with which LAION trains.
    r"audio_branch\.(tscam_conv|head)\.|(audio|text)_transform\."
    # torchlibrosa's Fourier transform and mel bank; the mel bank is compared with ours first.
    r"|audio_branch\.(spectrogram_extractor|logmel_extractor)\."
    # Tables that follow from the sizes; transformers makes its own.
    r"|audio_branch\..*\.(attn_mask|relative_position_index)$|text_branch\.embeddings\.(position_ids|token_type_ids)$"
)
_RENAMED = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^(audio|text)_projection\.0\.", r"\1_projection.linear1."),
        (r"^(audio|text)_projection\.2\.", r"\1_projection.linear2."),
        (r"^text_branch\.", "text_model."),
        (r"^audio_branch\.bn0\.", "audio_branch.batch_norm."),
        (r"(^audio_branch\.layers\..*)\.norm1\.", r"\1.layernorm_before."),
        (r"(^audio_branch\.layers\..*)\.norm2\.", r"\1.layernorm_after."),
        (r"(^audio_branch\.layers\..*)\.attn\.proj\.", r"\1.attention.output.dense."),
        (r"(^audio_branch\.layers\..*)\.attn\.", r"\1.attention.self."),
        (r"(^audio_branch\.layers\..*)\.mlp\.fc1\.", r"\1.intermediate.dense."),
        (r"(^audio_branch\.layers\..*)\.mlp\.fc2\.", r"\1.output.dense."),
        (r"^audio_branch\.", "audio_model.audio_encoder."),
    )
]
_ROBERTA_HEAD_DIM = 64
"""Of every released RoBERTa; the shapes do not tell."""


def laion_config(state: Mapping[str, Tensor]) -> ClapConfig:
    """Read the sizes of a checkpoint's towers off the shapes of its tensors.

    Raises:
        SourceError: it is not HTSAT with RoBERTa, or was trained on other spectrograms than ours.
    """
    _check_towers(state)
    _check_mel_bank(state)
    width = _shape(state, "audio_projection.2.weight")[0]
    return ClapConfig(
        text_config=_text_config(state).to_dict(), audio_config=_audio_config(state).to_dict(), projection_dim=width
    )


def transformers_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename LAION's tensors; the joint weights of query, key and value are cut in three."""
    renamed = {}
    for name, tensor in state.items():
        if _DROPPED.match(name):
            continue
        new_name = name
        for pattern, replacement in _RENAMED:
            new_name = pattern.sub(replacement, new_name)
        if ".attention.self.qkv." in new_name and tensor.ndim and len(tensor) % 3 == 0:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[new_name.replace("qkv", part)] = piece
        else:
            renamed[new_name] = tensor
    return renamed


def _check_towers(state: Mapping[str, Tensor]) -> None:
    if not any(name.startswith(_AUDIO) for name in state):
        _refuse("it is not a checkpoint of LAION-CLAP: it has no audio_branch")
    if _AUDIO + "conv_block1.conv1.weight" in state:
        _refuse("its audio tower is PANN; HTSAT is known only")
    # BERT's tensors have RoBERTa's names, but it tells two kinds of token apart.
    token_types = state.get(_TEXT + "embeddings.token_type_embeddings.weight")
    if token_types is None or token_types.shape[:1] != (1,):
        _refuse("its text tower is not RoBERTa, which is known only")


def _check_mel_bank(state: Mapping[str, Tensor]) -> None:
    """Compare the checkpoint's mel bank with ours: it tells of another rate, another FFT and other frequencies."""
    bank = state.get(_AUDIO + "logmel_extractor.melW")
    ours = LogMel().mel_bank
    if bank is not None and (bank.shape != ours.shape or not torch.allclose(bank.float(), ours, atol=1e-6)):
        _refuse("it was trained on spectrograms of another rate, FFT or mel bank")


def _audio_config(state: Mapping[str, Tensor]) -> ClapAudioConfig:
    if (mels := _shape(state, _AUDIO + "bn0.weight")[0]) != NUM_MELS:
        _refuse(f"its audio tower takes {mels} mels, not {NUM_MELS}")
    dim, _, patch, _ = _shape(state, _AUDIO + "patch_embed.proj.weight", 4)
    depths = [_count(state, f"{_AUDIO}layers.{layer}.blocks") for layer in range(_count(state, _AUDIO + "layers"))]
    tables = [f"{_AUDIO}layers.{layer}.blocks.0.attn.relative_position_bias_table" for layer in range(len(depths))]
    offsets = _shape(state, tables[0], 2)[0]
    is_fused = _AUDIO + "patch_embed.mel_conv2d.weight" in state
    fusion = _AUDIO + "patch_embed.fusion_model.local_att.0.weight"
    return ClapAudioConfig(
        num_mel_bins=NUM_MELS,
        hidden_size=dim * 2 ** (len(depths) - 1),
        patch_embeds_hidden_size=dim,
        patch_size=patch,
        patch_stride=[patch, patch],
        depths=depths,
        num_attention_heads=[_shape(state, table, 2)[1] for table in tables],
        # A window of w × w patches has (2 w − 1)² offsets.
        window_size=(round(offsets**0.5) + 1) // 2,
        mlp_ratio=_shape(state, _AUDIO + "layers.0.blocks.0.mlp.fc1.weight")[0] / dim,
        enable_fusion=is_fused,
        fusion_type="aff_2d" if is_fused else None,
        aff_block_r=dim // _shape(state, fusion)[0] if is_fused else 4,
    )


def _text_config(state: Mapping[str, Tensor]) -> ClapTextConfig:
    vocab_size, dim = _shape(state, _TEXT + "embeddings.word_embeddings.weight", 2)
    return ClapTextConfig(
        vocab_size=vocab_size,
        hidden_size=dim,
        num_hidden_layers=_count(state, _TEXT + "encoder.layer"),
        num_attention_heads=dim // _ROBERTA_HEAD_DIM,
        intermediate_size=_shape(state, _TEXT + "encoder.layer.0.intermediate.dense.weight")[0],
        max_position_embeddings=_shape(state, _TEXT + "embeddings.position_embeddings.weight")[0],
        # roberta-base's own, with which LAION trained; transformers' default for CLAP is 1e-12.
        layer_norm_eps=1e-5,
    )


def _shape(state: Mapping[str, Tensor], name: str, dims: int | None = None) -> torch.Size:
    tensor = state.get(name)
    if tensor is None:
        _refuse(f"it lacks {name}")
    if not tensor.ndim or not tensor.numel() or (dims is not None and tensor.ndim != dims):
        _refuse(f"{name} has shape {tuple(tensor.shape)}")
    return tensor.shape


def _count(state: Mapping[str, Tensor], stem: str) -> int:
    """How many numbers follow `stem` in the names of tensors."""
    numbers = {match[1] for name in state if (match := re.match(re.escape(stem) + r"\.(\d+)\.", name))}
    if not numbers:
        _refuse(f"it lacks {stem}")
    return len(numbers)


def _refuse(reason: str) -> NoReturn:
    raise SourceError(f"the checkpoint cannot be used: {reason}")
