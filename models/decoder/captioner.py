"""The caption decoder: a prefix projector and a language model, trained by teacher forcing.

The prefix stands in a prompt, or alone; what comes last of them predicts the first token of the caption (`language_model`).
The decoder comes after the bridge: what it reads are text-space embeddings.
"""

from collections.abc import Sequence
from itertools import islice

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from models.decoder.adapter import Adapter
from models.decoder.generation import TokenRules, child_seed, generate_beam, generate_sampled
from models.decoder.language_model import Frame, embedding_dim
from models.decoder.projector import PrefixProjector
from models.decoder.reference import LanguageModelReference

_IGNORED = -100
"""Label that cross entropy passes over."""
_MAX_ATTEMPTS = 3
"""How often a row samples while its candidates are too few; lesser beams are no substitute, being improbable."""


class DecoderConfig(BaseModel):
    """Size of the projector, what stands around the prefix, and how captions are searched for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    dim: PositiveInt
    """Width of the embeddings."""
    prefix_length: PositiveInt = 4
    """Number of vectors that stand before the caption."""
    projector_dim: PositiveInt = 512
    """Hidden width of the projector."""
    prompt_before: str = ""
    """What the language model reads before the prefix, special tokens by their names (`prompt.render_prompt`)."""
    prompt_after: str = ""
    """What it reads between prefix and caption."""
    num_beams: PositiveInt = 4
    length_penalty: float = 1.0
    """Power of the length that a beam's log-probability is divided by."""
    temperature: PositiveFloat = 1.0
    """Of sampled candidates."""
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    """Probability mass that candidates are sampled from."""


class CaptionDecoder(nn.Module):
    """Writes captions for embeddings, and learns to."""

    def __init__(self, config: DecoderConfig, language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Put an untrained projector before a language model.

        Raises:
            ValueError: the tokenizer has no EOS token, or prompt and prefix leave no place for a caption.
        """
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.language_model = language_model
        self.reference: LanguageModelReference | None = None
        """The released model whose weights `language_model` has, apart from an adapter."""
        self.merged_adapter: Adapter | None = None
        """What was added to the weights of the reference, if anything was."""
        self.projector = PrefixProjector(
            config.dim, config.projector_dim, config.prefix_length, embedding_dim(language_model)
        )
        self.frame = Frame.of(language_model, tokenizer, config.prompt_before, config.prompt_after)
        self.max_caption_tokens = self.frame.max_caption_tokens(language_model, config.prefix_length)
        """Longest caption, with its EOS."""
        if self.max_caption_tokens < 1:
            raise ValueError("prompt and prefix take all positions of the language model")
        num_logits = language_model.config.get_text_config().vocab_size
        self.rules = TokenRules.of(tokenizer, num_logits, self.frame.start)
        # A released model's own defaults (sampling, penalties) must not leak into the searches of `generation`.
        language_model.generation_config = GenerationConfig(eos_token_id=self.rules.eos, pad_token_id=self.rules.pad)

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.config.dim

    def train(self, mode: bool = True) -> "CaptionDecoder":
        """Set the mode; a language model that is all frozen stays in evaluation mode, as in ClipCap, without dropout."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.language_model.parameters()):
            self.language_model.eval()
        return self

    def loss(
        self, embeddings: Float[Tensor, "batch dim"], captions: Sequence[str], *, num_tokens: int | None = None
    ) -> Float[Tensor, ""]:
        """Cross entropy of the captions' tokens and their EOS, given the embeddings; captions too long are cut.

        Its mean, or with `num_tokens` its sum divided by that number: so the losses of a batch's shares add up to that of
        the batch, whose number of tokens `count_target_tokens` gives.
        """
        tokens, mask = self._tokens(captions, embeddings.device)
        context = self.frame.context(self.language_model, self.projector(embeddings))
        logits = self.frame.caption_logits(self.language_model, context, tokens, mask).flatten(0, 1).float()
        labels = tokens.masked_fill(mask == 0, _IGNORED).flatten()
        if num_tokens is None:
            return functional.cross_entropy(logits, labels, ignore_index=_IGNORED)
        return functional.cross_entropy(logits, labels, ignore_index=_IGNORED, reduction="sum") / num_tokens

    def count_target_tokens(self, captions: Sequence[str]) -> int:
        """Tokens that `loss` is the mean over: those of the captions, after cutting, and an EOS each."""
        return sum(min(count, self.max_caption_tokens - 1) + 1 for count in self.count_tokens(captions))

    def generate(
        self, embeddings: Float[Tensor, "batch dim"], *, seeds: Sequence[int], candidates: int, max_new_tokens: int
    ) -> list[list[str]]:
        """Write up to `candidates` distinct captions for each embedding.

        The first is the beam's, the others are sampled, in the order of their seeds. A row has fewer only where
        sampling several times over brings nothing new. Call `eval()` first: dropout would make answers random.
        `max_new_tokens` is bounded by the language model's positions.

        Raises:
            ValueError: there is not one seed for each embedding, or a number is below 1.
        """
        if len(seeds) != len(embeddings) or min(candidates, max_new_tokens) < 1:
            raise ValueError("generate needs a seed for each embedding, and at least one candidate and one token")
        if not len(embeddings):
            return []
        with torch.no_grad():
            context = self.frame.context(self.language_model, self.projector(embeddings))
        max_new_tokens = min(max_new_tokens, self.max_caption_tokens)
        tokens = generate_beam(
            self.language_model,
            self.rules,
            context,
            max_new_tokens=max_new_tokens,
            num_beams=self.config.num_beams,
            length_penalty=self.config.length_penalty,
        )
        captions = [[text] for text in self._texts(tokens)]
        for attempt in range(_MAX_ATTEMPTS):
            self._add_samples(captions, context, seeds, candidates, max_new_tokens, attempt)
        return captions

    def _add_samples(
        self,
        captions: list[list[str]],
        context: Float[Tensor, "batch context model_dim"],
        seeds: Sequence[int],
        candidates: int,
        max_new_tokens: int,
        attempt: int,
    ) -> None:
        """Sample `candidates` - 1 texts for each row that has too few captions, and append those that are new to it."""
        drawn = candidates - 1
        rows = [row for row, texts in enumerate(captions) if len(texts) < candidates]
        if not rows:
            return
        tokens = generate_sampled(
            self.language_model,
            self.rules,
            context[rows].repeat_interleave(drawn, dim=0),
            seeds=[child_seed(seeds[row], attempt * drawn + i) for row in rows for i in range(drawn)],
            max_new_tokens=max_new_tokens,
            temperature=self.config.temperature,
            top_p=self.config.top_p,
        )
        texts = iter(self._texts(tokens))
        for row in rows:
            new = dict.fromkeys(islice(texts, drawn))
            captions[row] = [*captions[row], *(text for text in new if text not in captions[row])][:candidates]

    def _tokens(
        self, captions: Sequence[str], device: torch.device
    ) -> tuple[Int[Tensor, "batch tokens"], Int[Tensor, "batch tokens"]]:
        """Token numbers of the captions, each closed by EOS and padded at the end, and the mask without padding."""
        limit = self.max_caption_tokens - 1
        encoded = self.tokenizer(list(captions), add_special_tokens=False)["input_ids"]
        rows = [torch.tensor([*ids[:limit], self.rules.eos]) for ids in encoded]
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.rules.pad)
        lengths = torch.tensor([len(row) for row in rows]).unsqueeze(1)
        mask = (torch.arange(tokens.shape[1]) < lengths).to(torch.int64)
        return tokens.to(device), mask.to(device)

    def count_tokens(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, without its EOS."""
        return [len(ids) for ids in self.tokenizer(list(captions), add_special_tokens=False)["input_ids"]]

    def _texts(self, tokens: Int[Tensor, "texts tokens"]) -> list[str]:
        return [" ".join(text.split()) for text in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]
