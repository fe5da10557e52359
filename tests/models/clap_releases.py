"""Released encoders, made up: small ones in LAION's format and in transformers', with random weights.

LAION's names are written down here as laion-clap's own classes give them; tests/models/test_clap_laion.py holds them to it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

from models.clap.log_mel import LogMel
from models.clap.tokenizer import train_clap_tokenizer

TEXTS = ["a dog barks", "rain is falling while a man laughs", "Größe 雨 🐕"]
_DIM, _DEPTHS, _HEADS, _WINDOW = 8, (2, 1, 1, 1), (1, 2, 2, 4), 8
_TEXT_DIM, _TEXT_LAYERS, _POSITIONS, _VOCAB = 64, 2, 26, 300
_WIDTH = 16
"""Of the embeddings."""


def spread_weights(state: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Weights so large that different inputs have different embeddings, and the statistics of decibels for them."""
    generator = torch.Generator().manual_seed(seed)
    spread = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point() or "_extractor" in name or name.endswith("attn_mask") or not tensor.ndim:
            spread[name] = tensor.clone()
        elif name.endswith(("running_mean", "running_var")):
            # The first batch norm sees decibels: -40 and thereabouts.
            mean, var = (-40.0, 400.0) if ".bn0." in name else (0.0, 1.0)
            spread[name] = torch.full_like(tensor, var if name.endswith("running_var") else mean)
        elif tensor.ndim == 1:
            around = 1.0 if name.endswith("weight") else 0.0
            spread[name] = around + 0.2 * torch.randn(tensor.shape, generator=generator)
        else:
            spread[name] = torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
    return spread


def laion_state(*, fused: bool = False, **changes: Any) -> dict[str, Tensor]:
    """A small checkpoint under LAION's names."""
    shapes = _audio_shapes(fused) | _text_shapes() | _head_shapes()
    state = spread_weights({name: torch.zeros(shape) for name, shape in shapes.items()})
    state["audio_branch.logmel_extractor.melW"] = LogMel().mel_bank.clone()
    state["text_branch.embeddings.position_ids"] = torch.arange(_POSITIONS).expand(1, -1)
    state["logit_scale_a"], state["logit_scale_t"] = torch.tensor(4.5), torch.tensor(4.25)
    return {**state, **changes}


def write_laion(path: Path, state: Mapping[str, Tensor]) -> Path:
    """Save it as LAION's training does: behind DistributedDataParallel's name, beside measures that are NumPy's."""
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "name": "test", "state_dict": wrapped, "top_k_performance": {0: np.float64(0.5)}}, path)
    return path


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer with RoBERTa's special tokens, of the size that `laion_state` has."""
    train_clap_tokenizer(TEXTS, _VOCAB).save_pretrained(folder)
    return folder


def clap_config(*, fused: bool = False) -> ClapConfig:
    """The sizes of `laion_state` in transformers' words."""
    audio = ClapAudioConfig(
        hidden_size=_DIM * 8,
        patch_embeds_hidden_size=_DIM,
        depths=list(_DEPTHS),
        num_attention_heads=list(_HEADS),
        enable_fusion=fused,
    )
    text = ClapTextConfig(
        vocab_size=_VOCAB,
        hidden_size=_TEXT_DIM,
        num_hidden_layers=_TEXT_LAYERS,
        num_attention_heads=1,
        intermediate_size=4 * _TEXT_DIM,
        max_position_embeddings=_POSITIONS,
    )
    return ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=_WIDTH)


def write_transformers(folder: Path, *, fused: bool = False) -> ClapModel:
    """A folder as the hub gives it: config, weights, tokenizer, preprocessor, and settings of an older transformers."""
    torch.manual_seed(0)
    model = ClapModel(clap_config(fused=fused)).eval().requires_grad_(False)
    state = spread_weights({name.replace("batch_norm", "bn0"): tensor for name, tensor in model.state_dict().items()})
    model.load_state_dict({name.replace("bn0", "batch_norm"): tensor for name, tensor in state.items()})
    model.save_pretrained(folder)
    write_tokenizer(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(fused=fused)))
    content = json.loads((folder / "config.json").read_text())
    content["text_config"] |= {"classifier_dropout": None, "position_embedding_type": "absolute", "torch_dtype": None}
    (folder / "config.json").write_text(json.dumps(content))
    return model


def preprocessor(*, fused: bool = False) -> dict[str, Any]:
    """preprocessor_config.json of laion/clap-htsat-unfused and -fused."""
    return {
        "feature_extractor_type": "ClapFeatureExtractor",
        "feature_size": 64,
        "fft_window_size": 1024,
        "frequency_max": 14000,
        "frequency_min": 50,
        "hop_length": 480,
        "max_length_s": 10,
        "padding": "repeatpad",
        "sampling_rate": 48000,
        "truncation": "fusion" if fused else "rand_trunc",
    }


def _audio_shapes(fused: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
        "logmel_extractor.melW": (513, 64),
        "patch_embed.proj.weight": (_DIM, 1, 4, 4),
        "patch_embed.proj.bias": (_DIM,),
        **_norm("patch_embed.norm", _DIM),
        **_norm("norm", 8 * _DIM),
        **_batch_norm("bn0", 64),
        "tscam_conv.weight": (527, 8 * _DIM, 2, 3),
        "tscam_conv.bias": (527,),
        **_linear("head", 527, 527),
    }
    for layer, depth in enumerate(_DEPTHS):
        for block in range(depth):
            shapes |= _block_shapes(f"layers.{layer}.blocks.{block}", layer, is_shifted=block % 2 == 1)
        if layer < len(_DEPTHS) - 1:
            dim = _DIM * 2**layer
            shapes |= {f"layers.{layer}.downsample.reduction.weight": (2 * dim, 4 * dim)}
            shapes |= _norm(f"layers.{layer}.downsample.norm", 4 * dim)
    return {f"audio_branch.{name}": shape for name, shape in (shapes | (_fusion_shapes() if fused else {})).items()}


def _block_shapes(stem: str, layer: int, *, is_shifted: bool) -> dict[str, tuple[int, ...]]:
    dim = _DIM * 2**layer
    masks = (64 // 2**layer // _WINDOW) ** 2
    return {
        **_norm(f"{stem}.norm1", dim),
        f"{stem}.attn.relative_position_bias_table": ((2 * _WINDOW - 1) ** 2, _HEADS[layer]),
        f"{stem}.attn.relative_position_index": (_WINDOW**2, _WINDOW**2),
        **_linear(f"{stem}.attn.qkv", dim, 3 * dim),
        **_linear(f"{stem}.attn.proj", dim, dim),
        **_norm(f"{stem}.norm2", dim),
        **_linear(f"{stem}.mlp.fc1", dim, 4 * dim),
        **_linear(f"{stem}.mlp.fc2", 4 * dim, dim),
        **({f"{stem}.attn_mask": (masks, _WINDOW**2, _WINDOW**2)} if is_shifted else {}),
    }


def _fusion_shapes() -> dict[str, tuple[int, ...]]:
    inner = _DIM // 4
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.mel_conv2d.weight": (_DIM, 1, 4, 12),
        "patch_embed.mel_conv2d.bias": (_DIM,),
    }
    # The pooling stands first in the global one, so that its numbers are greater by one.
    for attention, first in (("local_att", 0), ("global_att", 1)):
        stem = f"patch_embed.fusion_model.{attention}"
        shapes |= {f"{stem}.{first}.weight": (inner, _DIM, 1, 1), f"{stem}.{first}.bias": (inner,)}
        shapes |= _batch_norm(f"{stem}.{first + 1}", inner)
        shapes |= {f"{stem}.{first + 3}.weight": (_DIM, inner, 1, 1), f"{stem}.{first + 3}.bias": (_DIM,)}
        shapes |= _batch_norm(f"{stem}.{first + 4}", _DIM)
    return shapes


def _text_shapes() -> dict[str, tuple[int, ...]]:
    dim = _TEXT_DIM
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (_VOCAB, dim),
        "embeddings.position_embeddings.weight": (_POSITIONS, dim),
        "embeddings.token_type_embeddings.weight": (1, dim),
        **_norm("embeddings.LayerNorm", dim),
        **_linear("pooler.dense", dim, dim),
    }
    for layer in range(_TEXT_LAYERS):
        stem = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= _linear(f"{stem}.{part}", dim, dim)
        shapes |= _norm(f"{stem}.attention.output.LayerNorm", dim) | _norm(f"{stem}.output.LayerNorm", dim)
        shapes |= _linear(f"{stem}.intermediate.dense", dim, 4 * dim) | _linear(f"{stem}.output.dense", 4 * dim, dim)
    return {f"text_branch.{name}": shape for name, shape in shapes.items()}


def _head_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for modality, dim in (("audio", 8 * _DIM), ("text", _TEXT_DIM)):
        shapes |= _linear(f"{modality}_projection.0", dim, _WIDTH) | _linear(f"{modality}_projection.2", _WIDTH, _WIDTH)
        for layer in (0, 3):
            shapes |= _linear(f"{modality}_transform.sequential.{layer}", _WIDTH, _WIDTH)
    return shapes


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _batch_norm(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    statistics: dict[str, tuple[int, ...]] = {f"{name}.running_mean": (dim,), f"{name}.running_var": (dim,)}
    return {**_norm(name, dim), **statistics, f"{name}.num_batches_tracked": ()}
