"""Beam search and seeded samples, with an untrained language model whose every choice can be worked out."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.decoder.generation import TokenRules, child_seed, generate_beam, generate_sampled
from models.decoder.small import build_small_language_model
from models.decoder.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(["a dog barks", "rain is falling"], 280)


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    torch.manual_seed(0)
    model = build_small_language_model(tokenizer, hidden_size=16, num_layers=1, num_heads=2, max_positions=40)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    model.eval()
    return model


@pytest.fixture(scope="module")
def rules(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> TokenRules:
    return TokenRules.of(tokenizer, model.config.vocab_size)


@pytest.fixture(scope="module")
def prefix() -> Tensor:
    return torch.randn(6, 2, 16, generator=torch.Generator().manual_seed(1))


def _sampled(
    model: PreTrainedModel, rules: TokenRules, prefix: Tensor, seeds: list[int], *, top_p: float = 0.95
) -> list[list[int]]:
    tokens = generate_sampled(model, rules, prefix, seeds=seeds, max_new_tokens=12, temperature=1.0, top_p=top_p)
    return [_until_eos(row, rules) for row in tokens.tolist()]


def _beam(model: PreTrainedModel, rules: TokenRules, prefix: Tensor, num_beams: int) -> list[list[int]]:
    tokens = generate_beam(model, rules, prefix, max_new_tokens=12, num_beams=num_beams, length_penalty=1.0)
    return [_until_eos(row, rules) for row in tokens.tolist()]


def _until_eos(row: list[int], rules: TokenRules) -> list[int]:
    return row[: row.index(rules.eos)] if rules.eos in row else row


def test_padding_that_the_model_lacks_is_not_used_and_an_end_that_it_lacks_is_refused() -> None:
    tokenizer = train_tokenizer(["a dog barks"], 270)
    known = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<padding>"})
    assert tokenizer.pad_token_id == known
    assert TokenRules.of(tokenizer, known).pad == tokenizer.eos_token_id
    assert TokenRules.of(tokenizer, known + 1).pad == known
    tokenizer.add_special_tokens({"eos_token": "<end>"})
    with pytest.raises(ValueError, match=f"EOS token is number {known + 1}, the language model has {known}"):
        TokenRules.of(tokenizer, known)


def test_rules_know_special_blank_and_incomplete_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    rules = TokenRules.of(tokenizer, len(tokenizer) + 2)
    space, incomplete = tokenizer.convert_tokens_to_ids("Ġ"), tokenizer.convert_tokens_to_ids("Ã")
    assert rules.never.tolist() == [0, 1, len(tokenizer), len(tokenizer) + 1]
    assert {2, space, incomplete} <= set(rules.not_first.tolist())
    assert tokenizer.convert_tokens_to_ids("a") not in rules.not_first.tolist()


def test_tokens_that_the_model_has_no_logits_for_need_no_rule() -> None:
    larger = train_tokenizer(["a dog barks"], 280)
    num_logits = len(larger)
    larger.add_special_tokens({"additional_special_tokens": ["<more>"]})
    rules = TokenRules.of(larger, num_logits)
    assert rules.never.tolist() == [0, 1]
    assert int(rules.not_first.max()) < num_logits


def test_a_tokenizer_without_eos_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    endless = train_tokenizer(["rain"], 270)
    endless.eos_token = None
    with pytest.raises(ValueError, match="EOS"):
        TokenRules.of(endless, 270)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_search_does_not_depend_on_company(
    model: PreTrainedModel, rules: TokenRules, prefix: Tensor, num_beams: int
) -> None:
    together = _beam(model, rules, prefix, num_beams)
    assert together == [_beam(model, rules, prefix[i : i + 1], num_beams)[0] for i in range(6)]
    assert together[::-1] == _beam(model, rules, prefix.flip(0), num_beams)


def test_greedy_takes_the_likeliest_allowed_token(model: PreTrainedModel, rules: TokenRules, prefix: Tensor) -> None:
    logits = model(inputs_embeds=prefix).logits[:, -1]
    logits[:, rules.never] = -torch.inf
    logits[:, rules.not_first] = -torch.inf
    tokens = generate_beam(model, rules, prefix, max_new_tokens=1, num_beams=1, length_penalty=1.0)
    assert torch.equal(tokens[:, 0], logits.argmax(dim=1))


def test_a_sample_depends_on_its_seed_alone(model: PreTrainedModel, rules: TokenRules, prefix: Tensor) -> None:
    seeds = [11, 12, 13, 14, 15, 16]
    together = _sampled(model, rules, prefix, seeds)
    assert together == [_sampled(model, rules, prefix[i : i + 1], seeds[i : i + 1])[0] for i in range(6)]
    assert together[::-1] == _sampled(model, rules, prefix.flip(0), seeds[::-1])
    assert together != _sampled(model, rules, prefix, [seed + 100 for seed in seeds])


def test_the_global_generator_is_left_alone(model: PreTrainedModel, rules: TokenRules, prefix: Tensor) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    _sampled(model, rules, prefix, [0] * 6)
    assert torch.equal(torch.rand(1), expected)


def test_samples_are_drawn_from_the_models_distribution(model: PreTrainedModel, rules: TokenRules, prefix: Tensor) -> None:
    temperature, draws = 0.7, 2000
    logits = model(inputs_embeds=prefix[:1]).logits[0, -1] / temperature
    logits[rules.never] = -torch.inf
    logits[rules.not_first] = -torch.inf
    tokens = generate_sampled(
        model,
        rules,
        prefix[:1].expand(draws, -1, -1),
        seeds=range(draws),
        max_new_tokens=1,
        temperature=temperature,
        top_p=1.0,
    )
    frequencies = torch.bincount(tokens[:, 0], minlength=len(logits)) / draws
    # Four standard errors of a frequency are at most 0.045.
    assert torch.allclose(frequencies, logits.softmax(dim=0), atol=0.045)


def test_a_tiny_top_p_leaves_only_the_greedy_choice(model: PreTrainedModel, rules: TokenRules, prefix: Tensor) -> None:
    assert _sampled(model, rules, prefix, list(range(6)), top_p=1e-6) == _beam(model, rules, prefix, 1)


def test_child_seeds_are_splitmix64() -> None:
    # First and second outputs of the reference implementation for state 1234567, and the first for 0.
    assert child_seed(1234567, 0) == 6457827717110365317
    assert child_seed(1234567, 1) == 3203168211198807973
    assert child_seed(0, 0) == 0xE220A8397B1DCDAF
    assert 0 <= child_seed(-5, 3) < 2**64
