"""evaluate gap: the modality gap behind every bridge of a comparison, on scenes that neither encoder nor bridge has seen.

Reads embeddings/ and bridges/ (and makes there what is missing, embeddings where the recipe names an encoder), writes
evaluation-gap/, or evaluation-gap-validation/ for the split that settings are chosen on. Each scene stands with its first
caption. A run is one training seed, its noise another for every scene and run; the linear probe is fitted to the same
halves of the scenes in every run.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge
from models.bridge.learned import LearnedBridge
from models.errors import TrainingError
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.encoder_copy import make_embeddings
from models.evaluation.gap import GapFigures, measure_gap, seen_from_mean, spreads
from models.evaluation.gap_report import ComparedBridge, Criteria, GapReport, markdown_gap_report
from models.evaluation.retrieval import score_retrieval
from models.evaluation.settings import Split, report_folder
from models.output import say, say_written
from models.training.embed import EmbeddingSet
from models.training.folders import replaced
from models.training.recipe import Recipe, missing_section

_PROBE_SEEDS = (0, 1, 2)
"""Ways to halve the scenes; a run's probe accuracy is the mean over them."""

Sides = tuple[Float[Tensor, "pairs dim"], Float[Tensor, "pairs dim"]]
"""Bridged audio, and the texts as that bridge has them."""


def compare_gap(recipe: Recipe, work: Path, device: str, split: Split) -> None:
    """Make, or find, all bridges, measure the gap behind each, print the tables and write them.

    Raises:
        RecipeError: the recipe has no section [comparison].
        TrainingError: the embeddings are not there, a kept bridge was made by other settings, or one cannot be measured.
        ArtifactError: the recipe's encoder cannot be used.
        DeviceError: there is no such device.
    """
    comparison = recipe.comparison
    if comparison is None:
        raise missing_section("comparison")
    make_embeddings(comparison.encoder, recipe.embed, work, device)
    everything = EmbeddingSet.load(work, split)
    held_out = everything.first(len(everything.audio))
    report = measure_bridges(comparison, BridgeMaker.load(work, device), held_out, split)
    text = markdown_gap_report(report)
    directory = report_folder(work, "evaluation-gap", split)
    with replaced(directory) as new:
        (new / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (new / "report.md").write_text(text, encoding="utf-8")
    say(text, report=report)
    say_written(directory)


def measure_bridges(recipe: ComparisonRecipe, maker: BridgeMaker, held_out: EmbeddingSet, split: Split) -> GapReport:
    """Make, or find, every bridge of the comparison, and measure it on held-out pairs, those of `split`.

    Raises:
        TrainingError: a kept bridge was made by other settings, or one cannot be measured.
    """
    compared = []
    for name, bridge_recipe in recipe.bridges.items():
        bridges = maker.bridges(name, bridge_recipe, recipe.seeds)
        try:
            compared.append(measure_bridge(name, bridges, recipe.seeds, held_out, maker.device))
        except ValueError as error:
            raise TrainingError(f"the bridge {name!r} cannot be measured: {error}") from error
    return GapReport(
        split=split,
        pairs=len(held_out.captions),
        distinct_captions=len(set(held_out.captions)),
        training_scenes=len(maker.pairs.audio),
        training_captions=len(maker.pairs.text),
        pairs_shares=recipe.pairs_shares,
        seeds=recipe.seeds,
        bridges=tuple(compared),
    )


def measure_bridge(
    name: str, bridges: Sequence[Bridge], seeds: Sequence[int], held_out: EmbeddingSet, device: torch.device
) -> ComparedBridge:
    """Measure the bridge of each seed on held-out pairs.

    Raises:
        ValueError: there are fewer than four pairs, or an embedding is zero or not finite.
    """
    runs = _runs(bridges, seeds, held_out, device)
    figures = [_criteria(*sides, held_out.captions) for sides in runs]
    text_side = runs[0][1]
    return ComparedBridge(
        name=name,
        kind=bridges[0].config.kind,
        runs=len(runs),
        own_space=not torch.allclose(text_side, functional.normalize(held_out.text, dim=1), atol=1e-5),
        as_is=Criteria(**spreads([as_is for as_is, _ in figures])),
        centred=Criteria(**spreads([centred for _, centred in figures])),
    )


@torch.no_grad()
def _runs(bridges: Sequence[Bridge], seeds: Sequence[int], held_out: EmbeddingSet, device: torch.device) -> list[Sides]:
    """Both sides under each seed; only once where nothing is trained and no noise drawn, so that all runs are one."""
    audio, text, count = held_out.audio.to(device), held_out.text.to(device), len(held_out.audio)
    runs: list[Sides] = []
    for bridge, seed in zip(bridges, seeds, strict=True):
        bridged = bridge(audio, range(seed * count, (seed + 1) * count)).cpu()
        if runs and not isinstance(bridge, LearnedBridge) and torch.equal(bridged, runs[0][0]):
            continue
        runs.append((bridged, bridge.text_side(text).cpu()))
    return runs


def _criteria(
    bridged: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], captions: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """All criteria of one run, as is and with each modality's mean removed."""
    gap = measure_gap(lambda _: bridged.numpy(), text.numpy(), _PROBE_SEEDS)
    bridged_centred, text_centred = (seen_from_mean(functional.normalize(side.double(), dim=1)) for side in (bridged, text))
    as_is = _means(gap.as_is) | _recalls(bridged, text, captions)
    return as_is, _means(gap.centred) | _recalls(bridged_centred, text_centred, captions)


def _means(figures: GapFigures) -> dict[str, float]:
    """The figures' means over the halves of the probe, which the others do not depend on."""
    spreads_by_name = {name: getattr(figures, name) for name in GapFigures.model_fields}
    return {name: spread.mean for name, spread in spreads_by_name.items()}


def _recalls(
    bridged: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"], captions: Sequence[str]
) -> dict[str, float]:
    scores = score_retrieval(bridged.numpy(), text.numpy(), captions)
    ways = {"audio_to_text": scores.audio_to_text, "text_to_audio": scores.text_to_audio}
    return {f"{way}_{name}": share for way, recalls in ways.items() for name, share in recalls.model_dump().items()}
