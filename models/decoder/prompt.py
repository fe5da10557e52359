"""The words around the prefix: a prompt with a place for the audio, rendered once into what stands before and after it.

Rendered when a decoder is trained and stored as two plain texts, so that serving needs no chat template, and a template
that names today's date (Llama 3.1) does not change a trained decoder.
"""

from transformers import PreTrainedTokenizerBase

AUDIO_PLACEHOLDER = "{audio}"
"""Where the prefix stands in a prompt."""
_PROBE = "a"


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, *, chat: bool, closed: bool = False) -> tuple[str, str]:
    """Render a prompt into the texts before and after the prefix; special tokens are written by their names.

    A plain prompt gets the tokens that the tokenizer itself puts in front of a text (BOS, where it has one), and with
    `closed`, as encoders are trained, those that it puts behind. With `chat` the prompt becomes the user's turn of the
    tokenizer's chat template, and the caption is the answer.

    Raises:
        ValueError: the tokenizer has no chat template, or the template fails or does not leave the place as it is.
    """
    if not chat:
        before, _, after = prompt.partition(AUDIO_PLACEHOLDER)
        opening, closing = ("".join(tokenizer.convert_ids_to_tokens(list(ids))) for ids in surrounding_tokens(tokenizer))
        return opening + before, after + (closing if closed else "")
    if tokenizer.chat_template is None:
        raise ValueError("the tokenizer has no chat template")
    turns = [{"role": "user", "content": prompt}]
    try:
        rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    # Templates are programs of whoever made the tokenizer, and fail as they please.
    except Exception as error:
        raise ValueError(f"the chat template of the tokenizer fails: {error}") from error
    halves = str(rendered).split(AUDIO_PLACEHOLDER)
    if len(halves) != 2:
        raise ValueError(f"the chat template of the tokenizer does not leave {AUDIO_PLACEHOLDER} in its place")
    return halves[0], halves[1]


def surrounding_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that the tokenizer puts in front of a text, and behind it, of its own accord."""
    alone: list[int] = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    dressed: list[int] = tokenizer(_PROBE)["input_ids"]
    starts = range(len(dressed) - len(alone) + 1)
    first = next((start for start in starts if dressed[start : start + len(alone)] == alone), 0)
    return tuple(dressed[:first]), tuple(dressed[first + len(alone) :])
