"""train-bridge: from audio to text embeddings, on scenes that the encoder was not trained on.

Reads embeddings/, writes bridge/model. Diffusion-Link is trained step by step, a random caption of each scene at a time;
the bridges that it is compared with are solved in closed form. The result is the moving average of the weights at the
last step, not the best of several looks at the validation split, whose figures would then flatter it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, model_validator
from rich.console import Console
from torch import Tensor

from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig, natural_start_step
from models.bridge.identity import Identity
from models.bridge.interface import Bridge
from models.bridge.loss import LossConfig
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge
from models.bridge.sampler import SamplingConfig
from models.bridge.schedule import NUM_STEPS
from models.bridge.statistics import EmbeddingStatistics
from models.bridge.store import save_bridge
from models.device import resolve_device
from models.evaluation.retrieval import score_retrieval
from models.training.embed import EmbeddingSet
from models.training.folders import append_log, begin_stage, replaced
from models.training.loop import LoopSettings, TrainingLoop

_MAX_FITTED_PAIRS = 50_000
"""Pairs that means and closed forms are fitted to, drawn at random where there are more: bounds memory."""


class _BridgeRecipe(BaseModel):
    """What the recipes of all kinds share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation_scenes: int = Field(default=800, ge=2)
    """Scenes that measure progress."""


class SamplingRecipe(BaseModel):
    """Where to enter the diffusion and how to walk; see `SamplingConfig`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_step: Literal["auto"] | Annotated[int, Field(ge=1, le=NUM_STEPS)] = "auto"
    """"auto" takes the step at which a noised text is as far from the text as the audio is, on the training pairs."""
    num_sampling_steps: PositiveInt = 5
    noise_scale: float = Field(default=0.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _steps_fit(self) -> "SamplingRecipe":
        if self.num_sampling_steps > (NUM_STEPS if self.start_step == "auto" else self.start_step):
            raise ValueError("num_sampling_steps must not exceed start_step")
        return self


class DiffusionLinkRecipe(_BridgeRecipe):
    """Settings of the bridge of the paper."""

    kind: Literal["diffusion-link"]
    loop: LoopSettings
    batch_size: PositiveInt = 256
    centred: bool = True
    denoiser: DenoiserConfig = DenoiserConfig()
    loss: LossConfig = LossConfig()
    sampling: SamplingRecipe = SamplingRecipe()


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


BridgeRecipe = Annotated[DiffusionLinkRecipe | IdentityRecipe | MeanShiftRecipe | RidgeRecipe, Field(discriminator="kind")]
"""Settings of train-bridge, told apart by `kind`."""


class DiffusionLinkTrainer:
    """Batches, losses and validation of one run."""

    def __init__(
        self, recipe: DiffusionLinkRecipe, pairs: EmbeddingSet, validation: EmbeddingSet, device: torch.device
    ) -> None:
        """Build an untrained bridge whose statistics are those of the training pairs."""
        self.recipe, self.pairs, self.validation, self.device = recipe, pairs, validation, device
        audio, text = _fitted_pairs(pairs)
        config = DiffusionLinkConfig(
            dim=pairs.dim,
            centred=recipe.centred,
            denoiser=recipe.denoiser,
            loss=recipe.loss,
            sampling=_sampling(recipe, audio, text),
        )
        torch.manual_seed(recipe.loop.seed)
        self.bridge = DiffusionLink(config, EmbeddingStatistics.fit(audio, text)).to(device)

    def batch_loss(self, generator: torch.Generator, step: int) -> Mapping[str, Tensor]:
        """Losses of random scenes, each with a random caption."""
        scenes = torch.randint(len(self.pairs.audio), (self.recipe.batch_size,), generator=generator)
        captions = self.pairs.draw_captions(scenes, generator)
        audio, text = self.pairs.audio[scenes].to(self.device), self.pairs.text[captions].to(self.device)
        loss = self.bridge.loss(audio, text, generator)
        return {"loss": loss.total, "text": loss.text, "audio": loss.audio, "topology": loss.topology}

    def evaluate(self) -> Mapping[str, float]:
        """The gap and retrieval on the validation split."""
        return measure_bridge(self.bridge, self.validation, self.device)


def train_bridge(recipe: BridgeRecipe, work: Path, device: str, *, resume: bool) -> None:
    """Train or solve in work/bridge, and leave the bridge in work/bridge/model.

    Raises:
        TrainingError: the embeddings are not there, or the run to be resumed is another one.
        DeviceError: there is no such device.
    """
    torch_device = resolve_device(device)
    pairs = EmbeddingSet.load(work, "bridge")
    validation = EmbeddingSet.load(work, "validation").first(recipe.validation_scenes)
    directory = work / "bridge"
    begin_stage(directory, {"recipe": recipe.model_dump(mode="json"), **pairs.source}, resume=resume)
    unbridged = measure_bridge(Identity.fit(validation.audio, validation.text), validation, torch.device("cpu"))
    Console().print(f"train-bridge, validation without a bridge: {_rounded(unbridged)}", soft_wrap=True)
    if isinstance(recipe, DiffusionLinkRecipe):
        trainer = DiffusionLinkTrainer(recipe, pairs, validation, torch_device)
        Console().print(f"train-bridge enters at step {trainer.bridge.config.sampling.start_step}", soft_wrap=True)
        loop = TrainingLoop("train-bridge", recipe.loop, trainer.bridge, directory)
        loop.run(trainer.batch_loss, trainer.evaluate, resume=resume)
        bridge: Bridge = trainer.bridge
    else:
        bridge = _solve(recipe, pairs)
        measures = _rounded(measure_bridge(bridge, validation, torch.device("cpu")))
        append_log(directory, {"step": 0, **measures})
        Console().print(f"train-bridge: {measures}", soft_wrap=True)
    with replaced(directory / "model") as new:
        save_bridge(bridge, new)


@torch.no_grad()
def measure_bridge(bridge: Bridge, validation: EmbeddingSet, device: torch.device) -> dict[str, float]:
    """Cosines, distance of centroids and retrieval; a collapse to the mean text raises the first and kills the last."""
    bridged = bridge(validation.audio.to(device), range(len(validation.audio))).cpu()
    text = validation.text
    cosines = bridged @ text.T
    paired = cosines.diagonal().mean().item()
    unpaired = (cosines.sum() - cosines.diagonal().sum()).item() / (len(text) * (len(text) - 1))
    recalls = score_retrieval(bridged.numpy(), text.numpy(), validation.captions).audio_to_text
    return {
        "paired_cosine": paired,
        "unpaired_cosine": unpaired,
        "centroid_distance": (bridged.mean(dim=0) - text.mean(dim=0)).norm().item(),
        "r_at_1": recalls.r_at_1,
        "r_at_10": recalls.r_at_10,
    }


def _sampling(
    recipe: DiffusionLinkRecipe, audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]
) -> SamplingConfig:
    sampling = recipe.sampling
    if sampling.start_step == "auto":
        natural = natural_start_step(audio, text, centred=recipe.centred)
        sampling = sampling.model_copy(update={"start_step": max(natural, sampling.num_sampling_steps)})
    return SamplingConfig(**sampling.model_dump())


def _solve(recipe: IdentityRecipe | MeanShiftRecipe | RidgeRecipe, pairs: EmbeddingSet) -> Bridge:
    audio, text = _fitted_pairs(pairs)
    match recipe:
        case IdentityRecipe():
            return Identity.fit(audio, text)
        case MeanShiftRecipe():
            return MeanShift.fit(audio, text)
        case RidgeRecipe():
            return Ridge.fit(audio, text, recipe.penalty)


def _fitted_pairs(pairs: EmbeddingSet) -> tuple[Float[Tensor, "pairs dim"], Float[Tensor, "pairs dim"]]:
    """Every caption with its scene, or as many at random as are fitted to."""
    rows = torch.arange(len(pairs.text))
    if len(rows) > _MAX_FITTED_PAIRS:
        rows = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:_MAX_FITTED_PAIRS].sort().values
    scenes = torch.searchsorted(pairs.offsets, rows, right=True) - 1
    return pairs.audio[scenes], pairs.text[rows]


def _rounded(measures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in measures.items()}
