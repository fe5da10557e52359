"""Tiny language models on disk, laid out as released ones are: what the tests of real language models load."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from models.decoder.tokenizer import train_tokenizer

WORDS = ["a dog barks", "rain is falling", "a door closes", "a bell rings twice", "Audio: Describe the sound you hear."]
CHAT_TEMPLATE = """{{ bos_token }}system: be brief
{% for turn in messages %}{{ turn.role }}: {{ turn.content }}{{ eos_token }}{% endfor -%}
{% if add_generation_prompt %}assistant: {% endif %}"""
KINDS = ("gpt2", "llama", "bart", "t5")
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_BART_SIZES = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in (("layers", 1), ("ffn_dim", 32))}


def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer that puts around a text what those of its kind do: nothing, BOS, BOS and EOS, EOS."""
    tokenizer = train_tokenizer(WORDS, 300)
    template = {"llama": "<s> $A", "bart": "<s> $A </s>", "t5": "$A </s>"}.get(kind)
    if template is not None:
        special = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    if kind == "llama":
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def model_of(kind: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, max_positions: int = 64) -> PreTrainedModel:
    """An untrained model with weights large enough that its choices differ from row to row."""
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": len(tokenizer)}
    torch.manual_seed(seed)
    model: PreTrainedModel
    match kind:
        case "gpt2":
            sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": max_positions}
            model = GPT2LMHeadModel(GPT2Config(**sizes, **special))
        case "llama":
            sizes = _SIZES | {"num_key_value_heads": 1, "max_position_embeddings": max_positions}
            model = LlamaForCausalLM(LlamaConfig(**sizes, **special))
        case "bart":
            heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "d_model": 16}
            sizes: dict[str, Any] = _BART_SIZES | heads | {"max_position_embeddings": max_positions, "scale_embedding": True}
            model = BartForConditionalGeneration(BartConfig(**sizes, **special, decoder_start_token_id=2))
        case _:
            sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
            model = T5ForConditionalGeneration(T5Config(**sizes, **special, decoder_start_token_id=0))
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.05 if kind == "t5" and "shared" in name else 0.3)
    return model.eval()


def write_released(directory: Path, kind: str = "llama", seed: int = 0, **saving: Any) -> Path:
    """Write model and tokenizer into `directory`."""
    tokenizer = tokenizer_of(kind)
    model_of(kind, tokenizer, seed).save_pretrained(directory, **saving)
    tokenizer.save_pretrained(directory)
    return directory
