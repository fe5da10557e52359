"""Settings of train-decoder: the language model, what it is trained to read, and how it is searched for captions."""

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from models.training.loop import LoopSettings


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SmallLanguageModelRecipe(_Section):
    """Sizes of the language model."""

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

    language_model: SmallLanguageModelRecipe = SmallLanguageModelRecipe()
    vocab_size: int = Field(default=1_500, ge=260)
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
    def _positions_fit(self) -> "DecoderRecipe":
        if self.language_model.max_positions < self.prefix_length + 2:
            raise ValueError("language_model.max_positions leaves no place for a caption after the prefix")
        return self
