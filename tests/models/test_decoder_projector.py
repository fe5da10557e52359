"""The prefix projector: shapes, and statistics that are its own."""

import pytest
import torch
from torch.nn import functional

from models.decoder.projector import PrefixProjector


def test_a_prefix_has_its_length_and_the_models_width() -> None:
    assert PrefixProjector(8, 16, prefix_length=3, model_dim=12)(torch.randn(5, 8)).shape == (5, 3, 12)


def test_statistics_standardise_unit_embeddings() -> None:
    torch.manual_seed(0)
    embeddings = functional.normalize(torch.randn(500, 8) + 3, dim=1)
    projector = PrefixProjector(8, 16, prefix_length=1, model_dim=4)
    projector.fit_statistics(5 * embeddings)
    standardised = (embeddings - projector.embedding_mean) / projector.embedding_scale
    assert torch.allclose(standardised.mean(dim=0), torch.zeros(8), atol=1e-4)
    assert float(standardised.square().mean()) == pytest.approx(1.0, rel=1e-4)
    assert {"embedding_mean", "embedding_scale"} < set(projector.state_dict())


def test_embeddings_that_all_agree_divide_by_no_zero() -> None:
    projector = PrefixProjector(4, 8, prefix_length=1, model_dim=4)
    same = torch.full((3, 4), 0.5)
    projector.fit_statistics(same)
    assert bool(projector(same).isfinite().all())
