"""Settings of train-decoder: the language model, what it is trained to read, and how it is searched for captions."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from models.decoder.adapter import LoraSettings
from models.decoder.prompt import AUDIO_PLACEHOLDER
from models.training.loop import LoopSettings

_VOCAB_SIZE = 1_500


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SmallLanguageModelRecipe(_Section):
    """Sizes of a language model that is trained from scratch, with its tokenizer."""

    # Left out where recipes are written down: those from before there was a choice stay what they were.
    kind: Literal["small"] = Field(default="small", exclude_if=lambda kind: kind == "small")
    hidden_size: PositiveInt = 256
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    max_positions: PositiveInt = 64
    """Prefix and caption tokens together."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _heads_fit(self) -> "SmallLanguageModelRecipe":
        if self.hidden_size % self.num_heads:
            raise ValueError("hidden_size must be a multiple of num_heads")
        return self


class PretrainedLanguageModelRecipe(_Section):
    """A released language model, causal or encoder-decoder, and how it is brought to write captions."""

    kind: Literal["pretrained"]
    source: str = Field(min_length=1)
    """A folder as transformers writes it, or an id on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    tuning: Literal["lora", "full", "frozen"] = "lora"
    """What of it learns beside the projector: an adapter, everything, nothing."""
    lora: LoraSettings = LoraSettings()
    prompt: str = AUDIO_PLACEHOLDER
    """What it reads before the caption; the prefix takes the placeholder's place."""
    chat: bool = False
    """Make the prompt the user's turn of the tokenizer's chat template."""

    @model_validator(mode="after")
    def _sections_fit(self) -> "PretrainedLanguageModelRecipe":
        if self.prompt.count(AUDIO_PLACEHOLDER) != 1:
            raise ValueError(f"prompt must hold {AUDIO_PLACEHOLDER} once")
        if self.tuning != "lora" and self.lora != LoraSettings():
            raise ValueError(f"lora has no meaning with tuning {self.tuning!r}")
        return self


def _kind(settings: Any) -> Any:
    """The kind of a language model's section; "small" may be left out."""
    return settings.get("kind", "small") if isinstance(settings, dict) else getattr(settings, "kind", None)


LanguageModelRecipe = Annotated[
    Annotated[SmallLanguageModelRecipe, Tag("small")] | Annotated[PretrainedLanguageModelRecipe, Tag("pretrained")],
    Discriminator(_kind),
]


class GenerationRecipe(_Section):
    """How captions are searched for; see `DecoderConfig`."""

    num_beams: PositiveInt = 4
    length_penalty: float = 1.0
    temperature: PositiveFloat = 1.0
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)


class InputShares(_Section):
    """What the decoder is trained to read, as shares of its rows; they need not add up to 1."""

    text: NonNegativeFloat = 1.0
    """Text embeddings of captions, with noise."""
    bridged: NonNegativeFloat = 0.0
    """Bridged audio embeddings of scenes."""

    @model_validator(mode="after")
    def _something(self) -> "InputShares":
        if self.text + self.bridged <= 0:
            raise ValueError("one of text and bridged must be above 0")
        return self

    @property
    def bridged_share(self) -> float:
        """Share of rows that are bridged audio embeddings."""
        return self.bridged / (self.text + self.bridged)


class DecoderRecipe(_Section):
    """Settings of train-decoder."""

    language_model: LanguageModelRecipe = SmallLanguageModelRecipe()
    vocab_size: int = Field(default=_VOCAB_SIZE, ge=260)
    """Of the tokenizer that is trained with a small language model."""
    prefix_length: PositiveInt = 4
    projector_dim: PositiveInt = 512
    generation: GenerationRecipe = GenerationRecipe()
    loop: LoopSettings
    batch_size: PositiveInt = 64
    inputs: InputShares = InputShares()
    noise_variance: NonNegativeFloat = 0.016
    """Of the Gaussian noise on text embeddings, a coordinate (CapDec's); they are brought back to unit length."""
    validation_scenes: PositiveInt = 512
    """Scenes that measure progress."""

    @model_validator(mode="after")
    def _language_model_fits(self) -> "DecoderRecipe":
        model = self.language_model
        if isinstance(model, SmallLanguageModelRecipe):
            if model.max_positions < self.prefix_length + 2:
                raise ValueError("language_model.max_positions leaves no place for a caption after the prefix")
        elif self.vocab_size != _VOCAB_SIZE:
            raise ValueError("vocab_size is of a small language model only; a released one has a tokenizer of its own")
        return self
