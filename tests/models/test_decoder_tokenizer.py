"""The byte-level tokenizer and the small model that is built for it."""

import pytest

from models.decoder.small import build_small_language_model
from models.decoder.tokenizer import train_tokenizer

_CAPTIONS = ["a dog barks and then a door closes", "rain is falling while a man laughs"] * 5


def test_it_learns_words_and_knows_every_text() -> None:
    tokenizer = train_tokenizer(_CAPTIONS, 320)
    assert len(tokenizer.encode("rain is falling", add_special_tokens=False)) == 3
    for text in ("a dog barks", "Größe, 雨, 🐕 \t two  spaces"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == f" {text}"


def test_special_tokens_come_first_and_vocabulary_is_bounded() -> None:
    tokenizer = train_tokenizer(_CAPTIONS, 300)
    assert [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id] == [0, 1, 2]
    assert 259 < len(tokenizer) <= 300


def test_it_learns_the_same_vocabulary_again() -> None:
    assert train_tokenizer(_CAPTIONS, 320).get_vocab() == train_tokenizer(iter(_CAPTIONS), 320).get_vocab()


def test_a_small_model_fits_its_tokenizer() -> None:
    tokenizer = train_tokenizer(_CAPTIONS, 300)
    model = build_small_language_model(tokenizer, hidden_size=16, num_layers=3, num_heads=2, max_positions=24)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == 24
    assert model.config.num_hidden_layers == 3
    assert model.config.resid_pdrop == pytest.approx(0.1)
