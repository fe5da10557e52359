"""Centring and its inverse."""

import math

import pytest
import torch
from torch.nn import functional

from models.bridge.statistics import (
    EmbeddingStatistics,
    direction_from,
    embedding_towards,
    mean_paired_cosine,
    mean_unit_vector,
)


def test_statistics_are_means_of_unit_vectors_and_a_norm() -> None:
    audio, text = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [5.0, 0.0]])
    statistics = EmbeddingStatistics.fit(audio, text)
    assert statistics.audio_mean.tolist() == [0.5, 0.5]
    assert statistics.text_mean.tolist() == [1.0, 0.0]
    assert float(statistics.scale) == pytest.approx(math.sqrt(2))
    assert float(EmbeddingStatistics.fit(audio, text, 5.0).scale) == 5
    assert set(statistics.state_dict()) == {"audio_mean", "text_mean", "scale"}


@pytest.mark.parametrize("offset", [0.0, 0.5, 3.0])
def test_placing_a_direction_inverts_taking_it(offset: float) -> None:
    torch.manual_seed(0)
    text = functional.normalize(torch.randn(200, 16) + offset, dim=1)
    mean = mean_unit_vector(text)
    assert torch.allclose(embedding_towards(direction_from(text, mean), mean), text, atol=1e-5)


def test_placed_embeddings_have_unit_length_even_when_all_training_texts_agreed() -> None:
    mean = functional.normalize(torch.randn(1, 16), dim=1)[0] * (1 + 1e-7)
    placed = embedding_towards(functional.normalize(torch.randn(50, 16), dim=1), mean)
    assert torch.allclose(placed.norm(dim=1), torch.ones(50), atol=1e-5)


def test_an_embedding_at_the_mean_itself_is_no_nan() -> None:
    mean = torch.tensor([1.0, 0.0])
    directions = direction_from(mean.unsqueeze(0), mean)
    assert torch.equal(embedding_towards(directions, mean), mean.unsqueeze(0))


def test_mean_paired_cosine() -> None:
    a, t = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    assert mean_paired_cosine(a, t) == pytest.approx(0.5)
