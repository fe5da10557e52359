"""The modality gap between audio embeddings and the text embeddings of their captions, on held-out pairs.

No single figure tells: a bridge that collapses to the mean text raises cosines and closes the centroids' distance while
retrieval dies, so all are shown together, as measured and again after each modality's own mean (over these same pairs)
is taken away. Means and standard deviations are over seeds: of the bridge's noise and of the probe's halves.
Centroids: Liang et al. 2022, "Mind the Gap". Fréchet distance: Heusel et al. 2017, equation 6.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from models.evaluation.settings import Figures

_NEIGHBOURS = 10
_PROBE_PENALTY = 1e-2
_PROBE_STEPS = 100

Embeddings = Float[np.ndarray, "pairs dim"]


class Spread(Figures):
    """Mean and standard deviation over seeds."""

    mean: float
    sd: float


class GapFigures(Figures):
    """How far apart the two modalities lie."""

    paired_cosine: Spread
    unpaired_cosine: Spread
    cosine_difference: Spread
    """Paired less unpaired: what of the paired cosine tells clips apart."""
    centroid_distance: Spread
    frechet_distance: Spread
    """Squared distance of the means, plus that of the covariances."""
    probe_accuracy: Spread
    """How often a linear probe tells audio from text on pairs that it was not fitted to; 0.5 is perfect."""
    neighbourhood_overlap: Spread
    """Share of a clip's 10 nearest clips whose captions are among its caption's 10 nearest captions."""


class GapScores(Figures):
    """The gap as measured, and after each modality's mean is taken away."""

    as_is: GapFigures
    centred: GapFigures


def measure_gap(audio: Callable[[int], Embeddings], texts: Embeddings, seeds: Sequence[int]) -> GapScores:
    """Measure the gap of `audio(seed)`, the audio embeddings under that seed's noise, to the texts.

    Raises:
        ValueError: there are fewer than four pairs, too few for a probe and its test.
    """
    if len(texts) < 4:
        raise ValueError(f"the modality gap needs four pairs or more, not {len(texts)}")
    text = _unit(torch.from_numpy(texts).double())
    as_is, centred = [], []
    for seed in seeds:
        clip = _unit(torch.from_numpy(audio(seed)).double())
        halves = _halves(len(text), seed)
        as_is.append(_figures(clip, text) | {"probe_accuracy": probe_accuracy(clip, text, halves)})
        # Centred by all pairs, a test half would lie on the other side of the origin than the fitted one: below chance.
        for_probe = (seen_from_mean(clip, halves[0]), seen_from_mean(text, halves[0]))
        figures = _figures(seen_from_mean(clip), seen_from_mean(text))
        centred.append(figures | {"probe_accuracy": probe_accuracy(*for_probe, halves)})
    return GapScores(as_is=GapFigures(**spreads(as_is)), centred=GapFigures(**spreads(centred)))


def _unit(embeddings: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
    return functional.normalize(embeddings, dim=1)


def seen_from_mean(
    embeddings: Float[Tensor, "rows dim"], rows: Int[Tensor, " some"] | None = None
) -> Float[Tensor, "rows dim"]:
    """Unit directions of unit embeddings as seen from the mean of all, or of some, of the rows."""
    return _unit(embeddings - (embeddings if rows is None else embeddings[rows]).mean(dim=0))


def _halves(count: int, seed: int) -> tuple[Int[Tensor, " fitted"], Int[Tensor, " held_out"]]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[: count // 2], order[count // 2 :]


def spreads(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Mean and standard deviation of each figure; that of a single run is 0."""
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    return {
        name: Spread(mean=statistics.fmean(values), sd=statistics.stdev(values) if len(values) > 1 else 0.0)
        for name, values in columns.items()
    }


def _figures(audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> dict[str, float]:
    table = audio @ text.T
    paired = table.diagonal().mean().item()
    unpaired = (table.sum() - table.diagonal().sum()).item() / (len(audio) * (len(audio) - 1))
    return {
        "paired_cosine": paired,
        "unpaired_cosine": unpaired,
        "cosine_difference": paired - unpaired,
        "centroid_distance": (audio.mean(dim=0) - text.mean(dim=0)).norm().item(),
        "frechet_distance": frechet_distance(audio, text),
        "neighbourhood_overlap": neighbourhood_overlap(audio, text),
    }


def frechet_distance(left: Float[Tensor, "rows dim"], right: Float[Tensor, "others dim"]) -> float:
    """|μ₁ - μ₂|² + tr(C₁ + C₂ - 2 (C₁^½ C₂ C₁^½)^½), the square roots by eigenvalues, negative ones being rounding."""
    covariance_left, covariance_right = torch.cov(left.T, correction=0), torch.cov(right.T, correction=0)
    values, vectors = torch.linalg.eigh(covariance_left)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariance_right @ root).clamp(min=0).sqrt().sum()
    means = (left.mean(dim=0) - right.mean(dim=0)).square().sum()
    distance = means + covariance_left.trace() + covariance_right.trace() - 2 * cross
    return max(0.0, float(distance))


def probe_accuracy(
    audio: Float[Tensor, "pairs dim"],
    text: Float[Tensor, "pairs dim"],
    halves: tuple[Int[Tensor, " fitted"], Int[Tensor, " held_out"]],
) -> float:
    """Fit a logistic regression that tells audio from text on the first half of the pairs, and test it on the second."""
    (fitted_rows, fitted_labels), (test_rows, test_labels) = (_labelled(audio[half], text[half]) for half in halves)
    mean = fitted_rows.mean(dim=0)
    # Unit vectors have coordinates of about 1 / sqrt(dim); the penalty is meant for coordinates of about 1.
    scale = math.sqrt(audio.shape[1])
    weight = torch.zeros(audio.shape[1], dtype=audio.dtype, requires_grad=True)
    bias = torch.zeros((), dtype=audio.dtype, requires_grad=True)
    # Its `step` has no types.
    optimizer: Any = torch.optim.LBFGS([weight, bias], max_iter=_PROBE_STEPS, line_search_fn="strong_wolfe")

    def logits(rows: Float[Tensor, "rows dim"]) -> Float[Tensor, " rows"]:
        return (rows - mean) * scale @ weight + bias

    def objective() -> Float[Tensor, ""]:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(logits(fitted_rows), fitted_labels)
        loss = loss + _PROBE_PENALTY * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(objective)
    with torch.no_grad():
        scores = logits(test_rows)
    # A score of zero, as that of a probe which learned nothing, is a coin's toss.
    right = torch.where(scores == 0, 0.5, ((scores > 0) == (test_labels == 1)).to(scores))
    return float(right.mean())


def _labelled(
    audio: Float[Tensor, "some dim"], text: Float[Tensor, "some dim"]
) -> tuple[Float[Tensor, "rows dim"], Float[Tensor, " rows"]]:
    return torch.cat([audio, text]), torch.cat([audio.new_ones(len(audio)), text.new_zeros(len(text))])


def neighbourhood_overlap(audio: Float[Tensor, "pairs dim"], text: Float[Tensor, "pairs dim"]) -> float:
    """Mean share of each row's nearest rows in one modality that are among its nearest in the other."""
    count = min(_NEIGHBOURS, len(audio) - 1)
    near = []
    for side in (audio, text):
        cosines = side @ side.T
        cosines.fill_diagonal_(-torch.inf)
        near.append(torch.zeros_like(cosines, dtype=torch.bool).scatter_(1, cosines.topk(count, dim=1).indices, True))
    return int((near[0] & near[1]).sum()) / (count * len(audio))
