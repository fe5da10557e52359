"""Prompts: rendered into what stands before and after the audio, with the special tokens that the model knows."""

import pytest

from models.decoder.prompt import render_prompt, surrounding_tokens
from tests.models.released import tokenizer_of

_PROMPT = "Audio: {audio} Describe"


@pytest.mark.parametrize(("kind", "before"), [("gpt2", "Audio: "), ("llama", "<s>Audio: "), ("t5", "Audio: ")])
def test_a_plain_prompt_begins_as_the_tokenizer_begins_texts(kind: str, before: str) -> None:
    assert render_prompt(tokenizer_of(kind), _PROMPT, chat=False) == (before, " Describe")


@pytest.mark.parametrize(
    ("kind", "rendered"), [("bart", ("<s>", "</s>")), ("t5", ("", "</s>")), ("llama", ("<s>", "")), ("gpt2", ("", ""))]
)
def test_what_an_encoder_reads_is_closed_as_the_tokenizer_closes_texts(kind: str, rendered: tuple[str, str]) -> None:
    assert render_prompt(tokenizer_of(kind), "{audio}", chat=False, closed=True) == rendered


def test_a_rendered_prompt_is_tokenised_to_the_special_tokens_that_it_names() -> None:
    tokenizer = tokenizer_of("llama")
    before, _ = render_prompt(tokenizer, _PROMPT, chat=False)
    assert tokenizer(before, add_special_tokens=False)["input_ids"] == tokenizer("Audio: ")["input_ids"]
    assert tokenizer(before, add_special_tokens=False)["input_ids"][0] == tokenizer.bos_token_id


def test_a_chat_prompt_is_the_users_turn_and_the_caption_the_answer() -> None:
    before, after = render_prompt(tokenizer_of("llama"), _PROMPT, chat=True)
    assert before == "<s>system: be brief\nuser: Audio: "
    assert after == " Describe</s>assistant: "


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "no chat template"),
        ("{{ messages[0].content | upper }}", "in its place"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "in its place"),
        ("{{ raise_exception('only for assistants') }}", "only for assistants"),
        ("{% for", "fails"),
    ],
)
def test_a_chat_template_that_is_of_no_use_is_refused(template: str | None, reason: str) -> None:
    tokenizer = tokenizer_of("llama")
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=reason):
        render_prompt(tokenizer, _PROMPT, chat=True)


def test_surrounding_tokens_are_those_of_the_tokenizer() -> None:
    assert surrounding_tokens(tokenizer_of("bart")) == ((1,), (2,))
    assert surrounding_tokens(tokenizer_of("gpt2")) == ((), ())
