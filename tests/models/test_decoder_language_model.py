"""Causal and encoder-decoder models behind one face: training and search speak of the same captions."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BartForConditionalGeneration, LlamaForCausalLM

from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.generation import generate_beam
from models.decoder.language_model import AnyLanguageModel, Frame
from models.decoder.prompt import render_prompt
from tests.models.released import KINDS, WORDS, model_of, tokenizer_of, write_released

_DIM = 8
_CAPTIONS = WORDS[:4]
_BEFORE_AND_AFTER = {
    "gpt2": ("Audio: ", " Describe"),
    "llama": ("<s>Audio: ", ""),
    "bart": ("<s>", "</s>"),
    "t5": ("", "</s>"),
}


def _decoder(kind: str, prefix_length: int = 1, max_positions: int = 64, seed: int = 0) -> CaptionDecoder:
    tokenizer = tokenizer_of(kind)
    model = model_of(kind, tokenizer, seed, max_positions)
    before, after = _BEFORE_AND_AFTER[kind]
    sizes = {"dim": _DIM, "prefix_length": prefix_length, "projector_dim": 16, "num_beams": 3}
    return CaptionDecoder(DecoderConfig(**sizes, prompt_before=before, prompt_after=after), model, tokenizer).eval()


@pytest.fixture(scope="module")
def embeddings() -> Tensor:
    return functional.normalize(torch.randn(4, _DIM, generator=torch.Generator().manual_seed(1)), dim=1)


def _tokens(decoder: CaptionDecoder, caption: str) -> list[int]:
    return [*decoder.tokenizer.encode(caption, add_special_tokens=False), decoder.rules.eos]


def _is_caption(text: str) -> bool:
    return bool(text) and text == text.strip() and not any(name in text for name in ("<s>", "</s>", "<pad>"))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_loss_of_a_causal_model_is_that_of_transformers(kind: str, embeddings: Tensor) -> None:
    decoder, (before, after) = _decoder(kind, prefix_length=2), _BEFORE_AND_AFTER[kind]
    model, caption = decoder.language_model, _tokens(decoder, _CAPTIONS[0])
    first, last = (decoder.tokenizer.encode(text, add_special_tokens=False) for text in (before, after))
    embed = model.get_input_embeddings()
    parts = [embed(torch.tensor([first])), decoder.projector(embeddings[:1]), embed(torch.tensor([[*last, *caption]]))]
    labels = [-100] * (len(first) + 2 + len(last)) + caption
    expected = model(inputs_embeds=torch.cat(parts, dim=1), labels=torch.tensor([labels])).loss
    assert decoder.loss(embeddings[:1], [_CAPTIONS[0]]).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_loss_of_an_encoder_decoder_model_is_that_of_transformers(kind: str, embeddings: Tensor) -> None:
    decoder = _decoder(kind, prefix_length=2)
    model, caption = decoder.language_model, _tokens(decoder, _CAPTIONS[0])
    embed, closing = model.get_input_embeddings(), torch.tensor([[2]])
    opening = [embed(torch.tensor([[1]]))] if kind == "bart" else []
    read = torch.cat([*opening, decoder.projector(embeddings[:1]), embed(closing)], dim=1)
    # BART's labels begin with <s>, which is no part of the caption; transformers' mean is over it too.
    head = [1] if kind == "bart" else []
    logits = model(inputs_embeds=read, labels=torch.tensor([[*head, *caption]])).logits[0, len(head) :]
    expected = functional.cross_entropy(logits, torch.tensor(caption))
    assert decoder.loss(embeddings[:1], [_CAPTIONS[0]]).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_search_takes_what_the_training_logits_like_best(kind: str, embeddings: Tensor) -> None:
    decoder = _decoder(kind)
    with torch.no_grad():
        context = decoder.frame.context(decoder.language_model, decoder.projector(embeddings))
        tokens = generate_beam(
            decoder.language_model, decoder.rules, context, max_new_tokens=10, num_beams=1, length_penalty=1.0
        )
        logits = decoder.frame.caption_logits(decoder.language_model, context, tokens, torch.ones_like(tokens))
    logits[:, :, decoder.rules.never] = -torch.inf
    logits[:, 0, decoder.rules.not_first] = -torch.inf
    ended = (tokens == decoder.rules.eos).cumsum(dim=1) - (tokens == decoder.rules.eos).long() > 0
    assert torch.equal(logits.argmax(dim=2)[~ended], tokens[~ended])
    assert len({tuple(row) for row in tokens.tolist()}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_company_changes_no_caption(kind: str, embeddings: Tensor) -> None:
    decoder = _decoder(kind)
    together = decoder.generate(embeddings, seeds=[5, 6, 7, 8], candidates=3, max_new_tokens=9)
    alone = [decoder.generate(embeddings[i : i + 1], seeds=[5 + i], candidates=3, max_new_tokens=9)[0] for i in range(4)]
    assert together == alone
    assert all(len(row) == 3 and all(_is_caption(text) for text in row) for row in together)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_no_caption_of_an_encoder_decoder_model_is_empty(embeddings: Tensor, num_beams: int) -> None:
    source = _decoder("bart")
    model = source.language_model
    assert isinstance(model, BartForConditionalGeneration)
    bias = torch.zeros(1, model.config.vocab_size)
    # EOS, padding and BOS are what the model wants above all, at every step.
    bias[0, [0, 1, 2]] = 1e3
    model.final_logits_bias.copy_(bias)
    config = source.config.model_copy(update={"num_beams": num_beams})
    decoder = CaptionDecoder(config, model, source.tokenizer).eval()
    for row in decoder.generate(embeddings, seeds=[0] * 4, candidates=3, max_new_tokens=9):
        assert row
        assert all(_is_caption(text) for text in row)


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_a_released_kind_of_model_learns_captions_by_heart(kind: str, embeddings: Tensor) -> None:
    decoder = _decoder(kind)
    decoder.projector.fit_statistics(embeddings)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        decoder.loss(embeddings, _CAPTIONS).backward()
        optimiser.step()
    captions = decoder.generate(embeddings, seeds=[0] * 4, candidates=1, max_new_tokens=20)
    assert captions == [[caption] for caption in _CAPTIONS]


def test_a_model_that_cannot_leave_logits_out_gives_the_same(embeddings: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = _decoder("llama")
    expected = decoder.loss(embeddings, _CAPTIONS)
    whole = LlamaForCausalLM.forward

    def forward(self: LlamaForCausalLM, inputs_embeds: Tensor, attention_mask: Tensor, use_cache: bool) -> object:
        return whole(self, inputs_embeds=inputs_embeds, attention_mask=attention_mask, use_cache=use_cache)

    assert "logits_to_keep" in inspect.signature(whole).parameters
    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    torch.testing.assert_close(decoder.loss(embeddings, _CAPTIONS), expected)


@pytest.mark.parametrize(
    ("kind", "max_positions", "allowed"),
    # Of the causal models' positions, prompt and prefix are taken; of BART's decoder's, </s> and <s>.
    [("gpt2", 40, None), ("llama", 40, None), ("bart", 40, 38), ("t5", 40, 256), ("llama", 4096, 256), ("bart", 4096, 256)],
)
def test_length_is_bounded_by_positions_and_by_reason(kind: str, max_positions: int, allowed: int | None) -> None:
    decoder = _decoder(kind, prefix_length=3, max_positions=max_positions)
    taken = sum(len(decoder.tokenizer.encode(text, add_special_tokens=False)) for text in _BEFORE_AND_AFTER[kind]) + 3
    assert decoder.max_caption_tokens == (max_positions - taken if allowed is None else allowed)


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_a_prompt_that_leaves_no_place_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="take all positions"):
        _decoder(kind, prefix_length=40, max_positions=40)


def test_an_encoder_decoder_model_must_say_what_its_decoder_starts_with() -> None:
    tokenizer = tokenizer_of("bart")
    model = model_of("bart", tokenizer)
    model.config.decoder_start_token_id = None
    with pytest.raises(ValueError, match="decoder_start_token_id"):
        Frame.of(model, tokenizer, "", "")


@pytest.mark.parametrize("kind", KINDS)
def test_the_config_says_which_kind_a_model_is(tmp_path: Path, kind: str) -> None:
    model = AnyLanguageModel.from_pretrained(write_released(tmp_path, kind), dtype=torch.float32)
    assert type(model) is type(model_of(kind, tokenizer_of(kind)))


def test_the_whole_prompt_is_what_the_tokenizer_makes_of_the_text(embeddings: Tensor) -> None:
    tokenizer = tokenizer_of("llama")
    before, after = render_prompt(tokenizer, "Describe {audio}", chat=True)
    frame = Frame.of(model_of("llama", tokenizer), tokenizer, before, after)
    # The rendered template names BOS itself.
    assert frame.before.tolist() == tokenizer.encode(before, add_special_tokens=False)
    assert (frame.before[0], int((frame.before == 1).sum()), frame.start) == (1, 1, ())
    assert tokenizer.eos_token_id in frame.after.tolist()
