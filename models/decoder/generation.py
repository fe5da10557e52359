"""How captions are read off a language model, given contexts of equal length: beam search, or samples from seeds.

A context is a prefix with its prompt, embedded. A row's caption depends on its own context and seed alone, never on its
neighbours: contexts are never padded, rows that end early are filled up with padding that is dropped, and every sampled
row has a random generator of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes for bytes that are no whole character."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a caption's tokens may be, so that a caption is never empty and never holds a special token."""

    eos: int
    pad: int
    never: Int[Tensor, " never"]
    """Tokens that no caption holds: special ones other than EOS, and logits beyond the tokenizer's vocabulary."""
    not_first: Int[Tensor, " not_first"]
    """Tokens without a visible character of their own: EOS, white space, and pieces of a character of several bytes."""
    start: tuple[int, ...] = ()
    """Tokens that the decoder of an encoder-decoder model reads before the caption."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, num_logits: int, start: tuple[int, ...] = ()) -> "TokenRules":
        """Read the rules off a tokenizer.

        Raises:
            ValueError: the tokenizer has no EOS token, or one that the model does not know, so that no caption would end.
        """
        eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        if eos is None:
            raise ValueError("the tokenizer has no EOS token")
        if eos >= num_logits:
            raise ValueError(f"the tokenizer's EOS token is number {eos}, the language model has {num_logits}")
        # Padding is never looked at, but is embedded; a tokenizer may have been given a token for it that the model lacks.
        pad = eos if pad is None or pad >= num_logits else pad
        special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
        never = (special | set(tokenizer.all_special_ids) | set(range(len(tokenizer), num_logits))) - {eos}
        texts = tokenizer.batch_decode([[token] for token in range(min(len(tokenizer), num_logits))])
        blank = {token for token, text in enumerate(texts) if not text.replace(_INCOMPLETE, "").strip()} | {eos}
        # A tokenizer may know more tokens than the model has logits for.
        never &= set(range(num_logits))
        return cls(eos=eos, pad=pad, never=_token_list(never), not_first=_token_list(blank), start=start)


def _token_list(tokens: set[int]) -> Int[Tensor, " tokens"]:
    return torch.tensor(sorted(tokens), dtype=torch.int64)


class _CaptionRules(LogitsProcessor):
    """Rule out tokens by `TokenRules`."""

    def __init__(self, rules: TokenRules, device: torch.device) -> None:
        self.never = rules.never.to(device)
        self.not_first = rules.not_first.to(device)
        self.first = len(rules.start)

    def __call__(self, input_ids: Int[Tensor, "rows tokens"], scores: Float[Tensor, "rows vocab"]) -> Tensor:
        scores = scores.index_fill(1, self.never, -torch.inf)
        return scores.index_fill(1, self.not_first, -torch.inf) if input_ids.shape[1] == self.first else scores


class _SeededGumbel(LogitsProcessor):
    """Add Gumbel noise, each row from its own generator, so that the greedy choice becomes a sample.

    argmax_i(l_i + g_i) with g Gumbel is a draw from softmax(l) (Maddison et al. 2014, arXiv 1411.0030, section 2).
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Int[Tensor, "rows tokens"], scores: Float[Tensor, "rows vocab"]) -> Tensor:
        exponential = torch.stack(
            [torch.empty(scores.shape[1]).exponential_(generator=generator) for generator in self.generators]
        )
        # The bound keeps a draw of zero from making an excluded token's -inf a NaN.
        return scores - exponential.clamp(min=torch.finfo(torch.float32).tiny).log().to(scores)


@torch.no_grad()
def generate_beam(
    model: PreTrainedModel,
    rules: TokenRules,
    context: Float[Tensor, "batch context model_dim"],
    *,
    max_new_tokens: int,
    num_beams: int,
    length_penalty: float,
) -> Int[Tensor, "batch tokens"]:
    """Tokens of the best beam for each row, padded at the end; greedy search for `num_beams` = 1."""
    processors = LogitsProcessorList([_CaptionRules(rules, context.device)])
    beams = {"num_beams": num_beams, "length_penalty": length_penalty} if num_beams > 1 else {}
    return _generate(model, rules, context, processors, max_new_tokens, **beams)


@torch.no_grad()
def generate_sampled(
    model: PreTrainedModel,
    rules: TokenRules,
    context: Float[Tensor, "batch context model_dim"],
    *,
    seeds: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    top_p: float,
) -> Int[Tensor, "batch tokens"]:
    """Tokens of one sample for each row, padded at the end; row i draws from seeds[i] alone."""
    processors = LogitsProcessorList(
        [
            _CaptionRules(rules, context.device),
            TemperatureLogitsWarper(temperature),
            TopPLogitsWarper(top_p),
            _SeededGumbel(seeds),
        ]
    )
    return _generate(model, rules, context, processors, max_new_tokens)


def _generate(
    model: PreTrainedModel,
    rules: TokenRules,
    context: Float[Tensor, "batch context model_dim"],
    processors: LogitsProcessorList,
    max_new_tokens: int,
    **search: int | float,
) -> Int[Tensor, "batch tokens"]:
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=rules.eos,
        pad_token_id=rules.pad,
        decoder_start_token_id=rules.start[0] if rules.start else None,
        **search,
    )
    start = torch.tensor(rules.start, dtype=torch.int64, device=context.device).expand(len(context), -1)
    # `generate` comes from a mixin that the type of `model` does not name.
    search_with: Any = model
    tokens: Tensor = search_with.generate(
        inputs_embeds=context,
        attention_mask=torch.ones(context.shape[:2], dtype=torch.int64, device=context.device),
        generation_config=config,
        logits_processor=processors,
        **({"decoder_input_ids": start} if rules.start else {}),
    )
    return tokens[:, len(rules.start) :]


def child_seed(seed: int, child: int) -> int:
    """Seed of a row's candidate number `child`: as good as unrelated to other children's and other rows' seeds.

    SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figure 14).
    """
    mask = (1 << 64) - 1
    z = (seed + (child + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)
