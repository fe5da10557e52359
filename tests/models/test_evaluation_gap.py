"""Criteria of the modality gap."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.evaluation.gap import frechet_distance, measure_gap, neighbourhood_overlap, probe_accuracy


def _pairs(offset: float, noise: float = 0.5, count: int = 200, dim: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(count, dim))
    text = audio + noise * rng.normal(size=(count, dim))
    text[:, 0] += offset
    return audio, text


def _means(audio: np.ndarray, text: np.ndarray) -> dict[str, dict[str, float]]:
    gap = measure_gap(lambda seed: audio, text, [0, 1])
    return {side: {name: value["mean"] for name, value in figures.items()} for side, figures in gap.model_dump().items()}


def test_equal_modalities_have_no_gap() -> None:
    audio, _ = _pairs(0.0)
    figures = _means(audio, audio * 3)["as_is"]
    assert figures["paired_cosine"] == pytest.approx(1.0)
    assert figures["centroid_distance"] == pytest.approx(0.0, abs=1e-9)
    assert figures["frechet_distance"] == pytest.approx(0.0, abs=1e-6)
    assert figures["probe_accuracy"] == pytest.approx(0.5)
    assert figures["neighbourhood_overlap"] == 1.0


def test_a_shift_opens_a_gap_that_removing_means_closes() -> None:
    near, far = _means(*_pairs(0.0)), _means(*_pairs(3.0))
    assert far["as_is"]["probe_accuracy"] > 0.85 > 0.65 > near["as_is"]["probe_accuracy"]
    assert far["as_is"]["centroid_distance"] > 0.5 > near["as_is"]["centroid_distance"]
    assert far["as_is"]["paired_cosine"] < near["as_is"]["paired_cosine"]
    assert far["centred"]["centroid_distance"] < 0.1
    assert far["centred"]["probe_accuracy"] < 0.65


def test_a_collapse_raises_cosines_but_not_their_difference_nor_the_neighbourhoods() -> None:
    audio, text = _pairs(2.0)
    collapsed = np.tile(text.mean(axis=0), (len(text), 1)) + 1e-3 * np.random.default_rng(1).normal(size=text.shape)
    before, after = _means(audio, text)["as_is"], _means(collapsed, text)["as_is"]
    assert after["unpaired_cosine"] > before["unpaired_cosine"]
    assert after["cosine_difference"] == pytest.approx(0.0, abs=0.01)
    assert after["neighbourhood_overlap"] < before["neighbourhood_overlap"]


def test_paired_and_unpaired_cosines() -> None:
    audio = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    figures = _means(audio, audio)["as_is"]
    assert figures["paired_cosine"] == pytest.approx(1.0)
    assert figures["unpaired_cosine"] == pytest.approx(4 / 12)
    assert figures["cosine_difference"] == pytest.approx(8 / 12)


def test_the_spread_is_over_seeds() -> None:
    audio, text = _pairs(0.0)
    gap = measure_gap(lambda seed: audio if seed == 0 else -audio, text, [0, 1])
    assert gap.as_is.paired_cosine.mean == pytest.approx(0.0, abs=1e-9)
    assert gap.as_is.paired_cosine.sd > 0.5
    assert measure_gap(lambda seed: audio, text, [0]).as_is.probe_accuracy.sd == 0.0


def test_the_frechet_distance_of_gaussians_is_that_of_their_moments() -> None:
    # Diagonal covariances: |Δμ|² + Σ (σ₁ - σ₂)².
    rows = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    moved = rows * torch.tensor([3.0, 1.0]) + torch.tensor([0.0, 2.0])
    assert frechet_distance(rows, moved) == pytest.approx(2.0**2 + (3.0 - 1.0) ** 2)
    assert frechet_distance(rows, rows) == pytest.approx(0.0, abs=1e-6)


def test_a_probe_is_tested_on_pairs_that_it_was_not_fitted_to() -> None:
    generator = torch.Generator().manual_seed(0)
    audio, text = (functional.normalize(torch.randn(60, 64, generator=generator).double(), dim=1) for _ in range(2))
    halves = torch.arange(30), torch.arange(30, 60)
    # In 64 dimensions, any 60 points can be told apart; only pairs that are held out show that there is nothing to learn.
    assert probe_accuracy(audio, text, (halves[0], halves[0])) > 0.95
    assert 0.3 < probe_accuracy(audio, text, halves) < 0.7


def test_a_probe_without_anything_to_learn_tosses_a_coin() -> None:
    same = torch.ones(6, 2, dtype=torch.float64)
    assert probe_accuracy(same, same, (torch.arange(3), torch.arange(3, 6))) == 0.5


def test_neighbourhoods() -> None:
    audio = functional.normalize(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).double(), dim=1)
    assert neighbourhood_overlap(audio, audio) == 1.0
    assert neighbourhood_overlap(audio, audio.flip(0)) < 0.7


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="four pairs"):
        measure_gap(lambda seed: np.eye(3), np.eye(3), [0])
