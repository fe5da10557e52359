"""The caption decoder as a whole: it learns, loss and search agree, and company changes no caption."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPT2LMHeadModel

from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.small import build_small_language_model
from models.decoder.tokenizer import train_tokenizer

_THINGS = ["a dog", "a cat", "rain", "a door", "a bell"]
_DEEDS = ["barks", "is falling", "closes", "rings twice and then stops"]
_CAPTIONS = [f"{thing} {deed}" for thing in _THINGS for deed in _DEEDS]
_DIM = 16


def _decoder(max_positions: int = 24) -> CaptionDecoder:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(_CAPTIONS, 300)
    model = build_small_language_model(
        tokenizer, hidden_size=48, num_layers=2, num_heads=4, max_positions=max_positions, dropout=0.0
    )
    return CaptionDecoder(DecoderConfig(dim=_DIM, prefix_length=2, projector_dim=64), model, tokenizer)


@pytest.fixture(scope="module")
def embeddings() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return functional.normalize(torch.randn(len(_CAPTIONS), _DIM, generator=generator), dim=1)


def _train(decoder: CaptionDecoder, embeddings: Tensor, steps: int) -> CaptionDecoder:
    decoder.projector.fit_statistics(embeddings)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        decoder.loss(embeddings, _CAPTIONS).backward()
        optimiser.step()
    return decoder.eval()


@pytest.fixture(scope="module")
def trained(embeddings: Tensor) -> CaptionDecoder:
    return _train(_decoder(), embeddings, steps=150)


@pytest.fixture(scope="module")
def half_trained(embeddings: Tensor) -> CaptionDecoder:
    """Knows how captions go, not yet which: its samples differ."""
    return _train(_decoder(), embeddings, steps=25)


def _generate(decoder: CaptionDecoder, embeddings: Tensor, seeds: list[int], candidates: int) -> list[list[str]]:
    return decoder.generate(embeddings, seeds=seeds, candidates=candidates, max_new_tokens=20)


def test_it_learns_captions_by_heart(trained: CaptionDecoder, embeddings: Tensor) -> None:
    assert trained.loss(embeddings, _CAPTIONS).item() < 0.1
    captions = _generate(trained, embeddings, list(range(20)), 1)
    assert captions == [[caption] for caption in _CAPTIONS]


def test_loss_is_that_of_transformers_with_masked_labels(embeddings: Tensor) -> None:
    decoder = _decoder().eval()
    caption = "a dog barks"
    tokens = [*decoder.tokenizer.encode(caption, add_special_tokens=False), decoder.rules.eos]
    prefix = decoder.projector(embeddings[:1])
    embedded = decoder.language_model.get_input_embeddings()(torch.tensor([tokens]))
    expected = decoder.language_model(
        inputs_embeds=torch.cat([prefix, embedded], dim=1), labels=torch.tensor([[-100, -100, *tokens]])
    ).loss
    assert decoder.loss(embeddings[:1], [caption]).item() == pytest.approx(expected.item(), rel=1e-5)


def test_padding_costs_nothing(embeddings: Tensor) -> None:
    decoder = _decoder().eval()
    short, long = "rain closes", "a dog rings twice and then stops"
    lengths = [len(decoder.tokenizer.encode(text, add_special_tokens=False)) + 1 for text in (short, long)]
    alone = [decoder.loss(embeddings[i : i + 1], [text]) for i, text in enumerate((short, long))]
    expected = (alone[0] * lengths[0] + alone[1] * lengths[1]) / sum(lengths)
    assert decoder.loss(embeddings[:2], [short, long]).item() == pytest.approx(expected.item(), rel=1e-5)


def test_losses_of_shares_add_up_to_that_of_the_batch(embeddings: Tensor) -> None:
    decoder = _decoder(max_positions=8).eval()
    captions = [_CAPTIONS[3], "rain", "a dog " * 9, _CAPTIONS[0], "a bell closes"]
    tokens = decoder.count_target_tokens(captions)
    lengths = [len(decoder.tokenizer.encode(text, add_special_tokens=False)) for text in captions]
    assert max(lengths) > 5
    assert tokens == sum(min(length, 5) + 1 for length in lengths)
    whole = decoder.loss(embeddings[:5], captions)
    shares = [decoder.loss(embeddings[i:5:2], captions[i::2], num_tokens=tokens) for i in range(2)]
    torch.testing.assert_close(shares[0] + shares[1], whole)


def test_loss_reaches_projector_and_language_model(embeddings: Tensor) -> None:
    decoder = _decoder()
    decoder.loss(embeddings, _CAPTIONS).backward()
    grads = [weight.grad for weight in decoder.parameters()]
    assert all(grad is not None and bool(grad.any()) for grad in grads)


@pytest.mark.parametrize("candidates", [1, 4])
def test_a_row_does_not_depend_on_company(half_trained: CaptionDecoder, embeddings: Tensor, candidates: int) -> None:
    seeds = list(range(100, 120))
    together = _generate(half_trained, embeddings, seeds, candidates)
    alone = [_generate(half_trained, embeddings[i : i + 1], seeds[i : i + 1], candidates)[0] for i in range(20)]
    assert together == alone
    assert together == _generate(half_trained, embeddings, seeds, candidates)


def test_candidates_are_distinct_and_begin_with_the_beam(half_trained: CaptionDecoder, embeddings: Tensor) -> None:
    rows = _generate(half_trained, embeddings, list(range(20)), 4)
    assert all(len(row) == len(set(row)) == 4 for row in rows)
    assert [row[:1] for row in rows] == _generate(half_trained, embeddings, list(range(20)), 1)


def test_seeds_change_samples_and_not_the_beam(half_trained: CaptionDecoder, embeddings: Tensor) -> None:
    first, second = (_generate(half_trained, embeddings[:3], [seed] * 3, 4) for seed in (1, 2))
    assert first != second
    assert [row[0] for row in first] == [row[0] for row in second]


def test_a_decoder_that_is_sure_gives_fewer_candidates(trained: CaptionDecoder, embeddings: Tensor) -> None:
    rows = _generate(trained, embeddings, list(range(20)), 3)
    assert all(1 <= len(row) == len(set(row)) <= 3 for row in rows)
    assert any(len(row) < 3 for row in rows)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_no_caption_is_empty_whatever_the_model_wants(embeddings: Tensor, num_beams: int) -> None:
    source = _decoder()
    decoder = CaptionDecoder(
        source.config.model_copy(update={"num_beams": num_beams}), source.language_model, source.tokenizer
    ).eval()
    model = decoder.language_model
    assert isinstance(model, GPT2LMHeadModel)
    blank = decoder.tokenizer.convert_tokens_to_ids("Ġ")
    with torch.no_grad():
        # The same logits at every step: EOS, padding and a lone space far above all other tokens.
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        for wanted in (decoder.rules.eos, decoder.rules.pad, blank):
            model.transformer.wte.weight[wanted] = 1.0
    for row in _generate(decoder, embeddings, list(range(20)), 3):
        assert row
        assert all(text and text == " ".join(text.split()) and "<" not in text for text in row)


def test_length_is_bounded_by_request_and_by_positions(embeddings: Tensor) -> None:
    decoder = _decoder(max_positions=10).eval()
    assert decoder.max_caption_tokens == 8
    for asked, allowed in ((3, 3), (500, 8)):
        ((text,),) = decoder.generate(embeddings[:1], seeds=[0], candidates=1, max_new_tokens=asked)
        assert 1 <= len(text.encode()) <= allowed * max(map(len, decoder.tokenizer.get_vocab()))
    assert bool(decoder.loss(embeddings[:1], ["a dog barks " * 50]).isfinite())


def test_nothing_in_gives_nothing_out(trained: CaptionDecoder) -> None:
    assert trained.generate(torch.empty(0, _DIM), seeds=[], candidates=2, max_new_tokens=5) == []


@pytest.mark.parametrize(("seeds", "candidates", "max_new_tokens"), [([1], 1, 5), ([1, 2], 0, 5), ([1, 2], 1, 0)])
def test_impossible_requests_are_refused(
    trained: CaptionDecoder, embeddings: Tensor, seeds: list[int], candidates: int, max_new_tokens: int
) -> None:
    with pytest.raises(ValueError, match="generate needs"):
        trained.generate(embeddings[:2], seeds=seeds, candidates=candidates, max_new_tokens=max_new_tokens)
