"""Settings of train-bridge, one recipe a kind of bridge, and the bridge that each begins with."""

from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from models.bridge.c3 import C3
from models.bridge.conditional_prior import ConditionalPrior, ConditionalPriorConfig
from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig, natural_start_step
from models.bridge.identity import Identity
from models.bridge.interface import Bridge
from models.bridge.loss import LossConfig
from models.bridge.mean_shift import MeanShift
from models.bridge.mlp_regression import MlpRegression, MlpRegressionConfig
from models.bridge.realign import ReAlign
from models.bridge.ridge import Ridge
from models.bridge.sampler import SamplingConfig, check_samples_differ
from models.bridge.schedule import NUM_STEPS
from models.bridge.statistics import EmbeddingStatistics
from models.bridge.text_memory import TextMemory
from models.training.loop import LoopSettings


class _BridgeRecipe(BaseModel):
    """What the recipes of all kinds share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation_scenes: int = Field(default=800, ge=2)
    """Scenes that measure progress."""
    pairs_share: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of the training scenes that is used, to see what their number is worth."""


class SamplingRecipe(BaseModel):
    """Where to enter the diffusion and how to walk; see `SamplingConfig`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_step: Literal["auto"] | Annotated[int, Field(ge=1, le=NUM_STEPS)] = "auto"
    """"auto" takes the step at which a noised text is as far from the text as the audio is, on the training pairs."""
    num_sampling_steps: PositiveInt = 5
    noise_scale: float = Field(default=0.0, ge=0.0, le=1.0)
    num_samples: PositiveInt = 1

    @model_validator(mode="after")
    def _steps_fit(self) -> "SamplingRecipe":
        if self.num_sampling_steps > (NUM_STEPS if self.start_step == "auto" else self.start_step):
            raise ValueError("num_sampling_steps must not exceed start_step")
        check_samples_differ(self.num_samples, self.noise_scale)
        return self


class LearnedBridgeRecipe(_BridgeRecipe):
    """What the recipes of the kinds with a network share."""

    loop: LoopSettings
    batch_size: PositiveInt = 256
    centred: bool = True
    denoiser: DenoiserConfig = DenoiserConfig()


class DiffusionLinkRecipe(LearnedBridgeRecipe):
    """Settings of the bridge of the paper."""

    kind: Literal["diffusion-link"]
    loss: LossConfig = LossConfig()
    sampling: SamplingRecipe = SamplingRecipe()
    augmentation_step: Literal["auto", "none"] | Annotated[int, Field(ge=1, le=NUM_STEPS)] = "auto"
    """Diffusion augmentation of texts that a decoder is trained on; "auto" noises them until they are as far from
    themselves as the audio is, "none" leaves them to the decoder's own `noise_variance`."""


class MlpRegressionRecipe(LearnedBridgeRecipe):
    """Nothing to set but the network."""

    kind: Literal["mlp-regression"]


class DiffusionBridgeRecipe(LearnedBridgeRecipe):
    """Settings of the text-only diffusion; the defaults are its authors'."""

    kind: Literal["diffusion-bridge"]
    scale: PositiveFloat = 5.0
    """Norm of the vectors that are diffused."""
    sampling: SamplingConfig = DiffusionBridgeConfig.model_fields["sampling"].default
    augmentation_step: Annotated[int, Field(ge=1, le=NUM_STEPS)] = 400


class ConditionalPriorRecipe(LearnedBridgeRecipe):
    """Settings of the prior from pure noise."""

    kind: Literal["conditional-prior"]
    num_sampling_steps: int = Field(default=50, ge=1, le=NUM_STEPS)


class IdentityRecipe(_BridgeRecipe):
    """Nothing to set."""

    kind: Literal["identity"]


class MeanShiftRecipe(_BridgeRecipe):
    """Nothing to set."""

    kind: Literal["mean-shift"]


class RidgeRecipe(_BridgeRecipe):
    """Settings of the linear control."""

    kind: Literal["ridge"]
    penalty: NonNegativeFloat = 0.1
    """See `RidgeConfig`."""


class C3Recipe(_BridgeRecipe):
    """Nothing to set here; the noise is `noise_variance` of the decoder's recipe."""

    kind: Literal["c3"]


class TextMemoryRecipe(_BridgeRecipe):
    """Settings of the projection onto the training captions."""

    kind: Literal["text-memory"]
    temperature: PositiveFloat = 0.01
    """See `TextMemoryConfig`."""


class ReAlignRecipe(_BridgeRecipe):
    """Nothing to set."""

    kind: Literal["realign"]


BridgeRecipe = Annotated[
    C3Recipe
    | ConditionalPriorRecipe
    | DiffusionBridgeRecipe
    | DiffusionLinkRecipe
    | IdentityRecipe
    | MeanShiftRecipe
    | MlpRegressionRecipe
    | ReAlignRecipe
    | RidgeRecipe
    | TextMemoryRecipe,
    Field(discriminator="kind"),
]
"""Settings of train-bridge, told apart by `kind`."""


def build_bridge(recipe: BridgeRecipe, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> Bridge:
    """The bridge of a recipe: untrained but for its statistics where it has a network, else solved from the pairs."""
    if isinstance(recipe, LearnedBridgeRecipe):
        return _untrained(recipe, audio, text)
    match recipe:
        case C3Recipe():
            return C3.fit(audio, text)
        case IdentityRecipe():
            return Identity.fit(audio, text)
        case MeanShiftRecipe():
            return MeanShift.fit(audio, text)
        case ReAlignRecipe():
            return ReAlign.fit(audio, text)
        case RidgeRecipe():
            return Ridge.fit(audio, text, recipe.penalty)
        case TextMemoryRecipe():
            return TextMemory.fit(audio, text, recipe.temperature)


def _untrained(
    recipe: DiffusionLinkRecipe | MlpRegressionRecipe | DiffusionBridgeRecipe | ConditionalPriorRecipe,
    audio: Float[Tensor, "pairs dim"],
    text: Float[Tensor, "pairs dim"],
) -> Bridge:
    dim, centred, denoiser = audio.shape[1], recipe.centred, recipe.denoiser
    statistics = EmbeddingStatistics.fit(audio, text)
    match recipe:
        case DiffusionLinkRecipe():
            return DiffusionLink(_link_config(recipe, audio, text), statistics)
        case MlpRegressionRecipe():
            return MlpRegression(MlpRegressionConfig(dim=dim, centred=centred, denoiser=denoiser), statistics)
        case DiffusionBridgeRecipe():
            entry = DiffusionBridgeConfig(
                dim=dim,
                centred=centred,
                denoiser=denoiser,
                sampling=recipe.sampling,
                augmentation_step=recipe.augmentation_step,
            )
            return DiffusionBridge(entry, EmbeddingStatistics.fit(audio, text, recipe.scale))
        case ConditionalPriorRecipe():
            steps = recipe.num_sampling_steps
            prior = ConditionalPriorConfig(dim=dim, centred=centred, denoiser=denoiser, num_sampling_steps=steps)
            return ConditionalPrior(prior, statistics)


def _link_config(
    recipe: DiffusionLinkRecipe, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]
) -> DiffusionLinkConfig:
    natural = natural_start_step(audio, text, centred=recipe.centred)
    sampling, augmentation = recipe.sampling, recipe.augmentation_step
    if sampling.start_step == "auto":
        sampling = sampling.model_copy(update={"start_step": max(natural, sampling.num_sampling_steps)})
    return DiffusionLinkConfig(
        dim=audio.shape[1],
        centred=recipe.centred,
        denoiser=recipe.denoiser,
        loss=recipe.loss,
        sampling=SamplingConfig(**sampling.model_dump()),
        augmentation_step=natural if augmentation == "auto" else None if augmentation == "none" else augmentation,
    )
