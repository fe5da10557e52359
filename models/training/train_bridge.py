"""train-bridge: from audio to text embeddings, on scenes that the encoder was not trained on.

Reads embeddings/, writes bridge/model. Bridges with a network are trained step by step, a random caption of each scene at
a time; the others are solved in closed form. A trained result is the moving average of the weights at the last step, not
the best of several looks at the validation split, whose figures would then flatter it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from models.bridge.identity import Identity
from models.bridge.interface import Bridge
from models.bridge.learned import LearnedBridge
from models.bridge.store import save_bridge
from models.device import resolve_device
from models.evaluation.retrieval import score_retrieval
from models.output import say
from models.training.bridge_recipe import BridgeRecipe, LearnedBridgeRecipe, build_bridge
from models.training.embed import EmbeddingSet
from models.training.folders import append_log, begin_stage, replaced
from models.training.loop import TrainingLoop, refuse_division
from models.training.processes import Share

MAX_FITTED_PAIRS = 50_000
"""Pairs that means and closed forms are fitted to, drawn at random where there are more: bounds memory."""


class BridgeTrainer:
    """Batches, losses and validation of one run."""

    def __init__(
        self, recipe: LearnedBridgeRecipe, bridge: LearnedBridge, pairs: EmbeddingSet, validation: EmbeddingSet
    ) -> None:
        """Hold an untrained bridge, which stays where it is, and what it is trained and measured on."""
        self.recipe, self.bridge, self.pairs, self.validation = recipe, bridge, pairs, validation
        self.device = bridge.statistics.scale.device

    def batch_loss(self, generator: torch.Generator, step: int, share: Share) -> Mapping[str, Tensor]:
        """Losses of random scenes, each with a random caption."""
        scenes = torch.randint(len(self.pairs.audio), (self.recipe.batch_size,), generator=generator)
        captions = self.pairs.draw_captions(scenes, generator)
        audio, text = self.pairs.audio[scenes].to(self.device), self.pairs.text[captions].to(self.device)
        return self.bridge.losses(audio, text, generator)

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
    unbridged = measure_bridge(Identity.fit(validation.audio, validation.text), validation, torch.device("cpu"))
    measures = _rounded(unbridged)
    say(f"train-bridge, validation without a bridge: {measures}", unbridged=measures)
    make_bridge(recipe, work / "bridge", pairs, validation, torch_device, resume=resume)


def make_bridge(
    recipe: BridgeRecipe,
    directory: Path,
    pairs: EmbeddingSet,
    validation: EmbeddingSet,
    device: torch.device,
    *,
    resume: bool,
    name: str = "train-bridge",
) -> None:
    """Train or solve in `directory`, and leave the bridge in its folder model; with `resume`, a finished one is left there.

    Raises:
        TrainingError: the folder holds an earlier run that is not to be resumed, or another one, or batches are to be
            divided.
    """
    if isinstance(recipe, LearnedBridgeRecipe):
        refuse_division(name, recipe.loop)
    begin_stage(directory, {"recipe": recipe.model_dump(mode="json"), **pairs.source}, resume=resume)
    if resume and (directory / "model").is_dir():
        return
    pairs = pairs.part(recipe.pairs_share)
    bridge = begin_bridge(recipe, pairs).to(device)
    if isinstance(recipe, LearnedBridgeRecipe) and isinstance(bridge, LearnedBridge):
        config = bridge.config.model_dump()
        say(f"{name} begins with {config}", run=name, begins_with=config)
        trainer = BridgeTrainer(recipe, bridge, pairs, validation)
        loop = TrainingLoop(name, recipe.loop, bridge, directory)
        loop.run(trainer.batch_loss, trainer.evaluate, resume=resume)
    else:
        measures = _rounded(measure_bridge(bridge, validation, device))
        append_log(directory, {"step": 0, **measures})
        say(f"{name}: {measures}", run=name, step=0, measures=measures)
    with replaced(directory / "model") as new:
        save_bridge(bridge, new)


def begin_bridge(recipe: BridgeRecipe, pairs: EmbeddingSet) -> Bridge:
    """The bridge of a recipe, its statistics those of the training pairs, its network's weights those of the seed."""
    if isinstance(recipe, LearnedBridgeRecipe):
        torch.manual_seed(recipe.loop.seed)
    return build_bridge(recipe, *_fitted_pairs(pairs))


@torch.no_grad()
def measure_bridge(bridge: Bridge, validation: EmbeddingSet, device: torch.device) -> dict[str, float]:
    """Cosines, distance of centroids and retrieval; a collapse to the mean text raises the first and kills the last."""
    bridged = bridge(validation.audio.to(device), range(len(validation.audio))).cpu()
    text = bridge.text_side(validation.text.to(device)).cpu()
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


def _fitted_pairs(pairs: EmbeddingSet) -> tuple[Float[Tensor, "pairs dim"], Float[Tensor, "pairs dim"]]:
    """Every caption with its scene, or as many at random as are fitted to."""
    rows = torch.arange(len(pairs.text))
    if len(rows) > MAX_FITTED_PAIRS:
        rows = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:MAX_FITTED_PAIRS].sort().values
    scenes = torch.searchsorted(pairs.offsets, rows, right=True) - 1
    return pairs.audio[scenes], pairs.text[rows]


def _rounded(measures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in measures.items()}
