"""The two kinds of language models of transformers, behind one face: what stands before a caption, and its logits.

A causal model reads [before][prefix][after][caption]. In an encoder-decoder model (BART, as captioners of AudioCaps use it)
the encoder reads [before][prefix][after], and the decoder continues its own start tokens with the caption.
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel, PreTrainedTokenizerBase

from models.decoder.prompt import surrounding_tokens

_LONGEST_CAPTION = 256
"""Tokens, EOS included. Released models have positions for whole books; a caption that long is a fault."""


class AnyLanguageModel:
    """A class for `read_pretrained`: the model's own config says whether it is causal or has an encoder."""

    @classmethod
    def from_pretrained(cls, directory: Path, **options: Any) -> Any:
        """Load a model as transformers' classes do; no code from the directory is run."""
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        # Where this is not said, transformers asks whoever sits at the terminal.
        return kind.from_pretrained(directory, config=config, trust_remote_code=False, **options)


@dataclass(frozen=True, slots=True)
class Frame:
    """The tokens that stand around a prefix and before a caption, the same for every row."""

    before: Int[Tensor, " before"]
    after: Int[Tensor, " after"]
    start: tuple[int, ...]
    """What the decoder of an encoder-decoder model reads first; nothing for a causal model."""

    @classmethod
    def of(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, before: str, after: str) -> "Frame":
        """Tokenise the two halves of a rendered prompt, special tokens by their names, and look up the start tokens.

        Raises:
            ValueError: an encoder-decoder model does not say what its decoder starts with.
        """
        start: tuple[int, ...] = ()
        if model.config.is_encoder_decoder:
            first = model.config.decoder_start_token_id
            if first is None:
                raise ValueError("the language model has no decoder_start_token_id")
            # BART was trained on </s> <s> caption </s>: what its tokenizer puts in front belongs to the start.
            start = (first, *surrounding_tokens(tokenizer)[0])
        return cls(_token_ids(tokenizer, before), _token_ids(tokenizer, after), start)

    def context(
        self, model: PreTrainedModel, prefix: Float[Tensor, "batch prefix model_dim"]
    ) -> Float[Tensor, "batch context model_dim"]:
        """Put the embedded prompt around each row's prefix, in the dtype of the language model's embeddings."""
        embed = model.get_input_embeddings()
        before, after = (embed(tokens.to(prefix.device)).expand(len(prefix), -1, -1) for tokens in (self.before, self.after))
        return torch.cat([before, prefix.to(before.dtype), after], dim=1)

    def max_caption_tokens(self, model: PreTrainedModel, prefix_length: int) -> int:
        """Longest caption, with its EOS, that the language model has positions for, and no longer than 256."""
        config = model.config.get_text_config()
        # Models without learned positions (T5, BLOOM) name no bound.
        positions: int | None = getattr(config, "max_position_embeddings", None)
        if positions is None:
            return _LONGEST_CAPTION
        context = len(self.before) + prefix_length + len(self.after)
        if not self.start:
            return min(positions - context, _LONGEST_CAPTION)
        # Encoder and decoder have positions of their own, as many each.
        return min(positions - len(self.start), _LONGEST_CAPTION) if context <= positions else 0

    def caption_logits(
        self,
        model: PreTrainedModel,
        context: Float[Tensor, "batch context model_dim"],
        tokens: Int[Tensor, "batch tokens"],
        mask: Int[Tensor, "batch tokens"],
    ) -> Float[Tensor, "batch tokens vocab"]:
        """Logits that speak of each token of the captions, which are padded at the end."""
        seen = mask.new_ones(context.shape[:2])
        if self.start:
            start = tokens.new_tensor(self.start).expand(len(tokens), -1)
            read = torch.cat([start, tokens[:, :-1]], dim=1)
            # No mask: the decoder looks back only, and behind the padding nothing stands that counts.
            answer = model(inputs_embeds=context, attention_mask=seen, decoder_input_ids=read, use_cache=False)
            logits: Tensor = answer.logits
            return logits[:, len(self.start) - 1 :]
        # Logits at a position speak of the next one, so the caption's begin at the last vector of the context. Most models
        # can leave out those of the prompt, which would take as much memory again.
        needed = tokens.shape[1] + 1
        keep = {"logits_to_keep": needed} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        embedded = model.get_input_embeddings()(tokens)
        answer = model(
            inputs_embeds=torch.cat([context, embedded], dim=1),
            attention_mask=torch.cat([seen, mask], dim=1),
            use_cache=False,
            **keep,
        )
        logits = answer.logits
        return logits[:, -needed:-1]


def embedding_dim(model: PreTrainedModel) -> int:
    """Width of the vectors that a language model reads, which is not the hidden width in all of them (OPT-350M)."""
    embed: Any = model.get_input_embeddings()
    width: int = embed.weight.shape[1]
    return width


def _token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> Int[Tensor, " tokens"]:
    return torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=torch.int64)
