"""A small CLAP to train from scratch, for artifacts that must fit into a package and run on a CPU.

The classes are those of production: transformers' `ClapModel` with a RoBERTa text tower, and HTSAT or a CNN for audio.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig, PreTrainedTokenizerBase

from models.clap.cnn import CnnClapModel, CnnTowerConfig
from models.clap.encoder import ClapEncoder
from models.clap.log_mel import NUM_MELS


class SmallClapConfig(BaseModel):
    """Sizes of both towers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: PositiveInt = 256
    """Width of the embeddings."""
    temperature: float = Field(default=1 / 100, ge=1 / 100)
    """Which cosines are divided by. Released encoders have learned 1/100, the least that they may, and it makes their
    modality gap (Liang et al. 2022, arXiv 2203.02053)."""
    tower: Literal["cnn", "htsat"] = "cnn"
    channels: tuple[PositiveInt, ...] = (32, 64, 128, 256)
    """Blocks of the CNN."""
    htsat_dim: PositiveInt = 32
    """Width of HTSAT's first stage; it doubles at each."""
    htsat_depths: tuple[PositiveInt, ...] = (2, 2, 2)
    htsat_patch_size: PositiveInt = 8
    text_dim: PositiveInt = 128
    text_layers: PositiveInt = 2
    text_heads: PositiveInt = 4
    max_text_tokens: PositiveInt = 64
    dropout: float = 0.1


def build_small_clap(config: SmallClapConfig, tokenizer: PreTrainedTokenizerBase) -> ClapEncoder:
    """Build an untrained encoder for the tokenizer."""
    extras: dict[str, Any] = {}
    if config.tower == "cnn":
        extras["cnn_tower"] = CnnTowerConfig(channels=config.channels).model_dump(mode="json")
    model_config = ClapConfig(
        text_config=_text_config(config, tokenizer).to_dict(),
        audio_config=_audio_config(config).to_dict(),
        projection_dim=config.dim,
        logit_scale_init_value=1 / config.temperature,
        **extras,
    )
    model_class = CnnClapModel if config.tower == "cnn" else ClapModel
    return ClapEncoder(model_class(model_config), tokenizer)


def _text_config(config: SmallClapConfig, tokenizer: PreTrainedTokenizerBase) -> ClapTextConfig:
    return ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text_dim,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.text_heads,
        intermediate_size=4 * config.text_dim,
        max_position_embeddings=config.max_text_tokens + tokenizer.pad_token_id + 1,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        projection_dim=config.dim,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _audio_config(config: SmallClapConfig) -> ClapAudioConfig:
    stages = len(config.htsat_depths)
    last_stage_dim = config.htsat_dim * 2 ** (stages - 1)
    return ClapAudioConfig(
        num_mel_bins=NUM_MELS,
        hidden_size=config.channels[-1] if config.tower == "cnn" else last_stage_dim,
        patch_embeds_hidden_size=config.htsat_dim,
        depths=list(config.htsat_depths),
        num_attention_heads=[2 ** (stage + 1) for stage in range(stages)],
        patch_size=config.htsat_patch_size,
        patch_stride=[config.htsat_patch_size, config.htsat_patch_size],
        projection_dim=config.dim,
    )
