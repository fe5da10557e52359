"""Identity, mean shift and ridge against what can be computed by hand."""

import pytest
import torch
from torch.nn import functional

from models.bridge.identity import Identity
from models.bridge.interface import Bridge
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge


def _unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)), dim=1)


def test_identity_only_brings_to_unit_length() -> None:
    bridge = Identity.fit(_unit(4, 3), _unit(4, 3))
    assert bridge.dim == 3
    assert torch.allclose(bridge(torch.tensor([[3.0, 0.0, 4.0]]), [0]), torch.tensor([[0.6, 0.0, 0.8]]))


def test_mean_shift_by_hand() -> None:
    audio = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    text = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    shifted = MeanShift.fit(audio, text)(audio[:1], [0])
    # a - μ_a + μ_t = (1, 0, 0) - (½, ½, 0) + (0, 0, 1) = (½, -½, 1)
    assert torch.allclose(shifted, torch.tensor([[0.5, -0.5, 1.0]]) / 1.5**0.5)


def test_ridge_without_penalty_finds_a_rotation() -> None:
    audio = _unit(200, 6)
    rotation, _ = torch.linalg.qr(_unit(6, 6))
    bridge = Ridge.fit(audio, audio @ rotation, penalty=0.0)
    assert torch.allclose(bridge(audio, range(200)), audio @ rotation, atol=1e-5)


def test_ridge_is_the_minimum_of_its_objective() -> None:
    audio, text = _unit(50, 6), _unit(50, 6).roll(7, dims=0)
    bridge, penalty = Ridge.fit(audio, text, penalty=0.3), 0.3 * float(audio.var(dim=0, correction=0).mean())
    weight, bias = bridge.weight.clone().requires_grad_(), bridge.bias.clone().requires_grad_()
    objective = (audio @ weight.T + bias - text).square().sum(dim=1).mean() + penalty * weight.square().sum()
    objective.backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert float(weight.grad.abs().max()) < 1e-6
    assert float(bias.grad.abs().max()) < 1e-6


def test_a_strong_penalty_leaves_the_text_mean() -> None:
    audio, text = _unit(50, 6), _unit(50, 6) + 0.2
    bridged = Ridge.fit(audio, text, penalty=1e9)(audio, range(50))
    mean = functional.normalize(functional.normalize(text, dim=1).mean(dim=0), dim=0)
    assert torch.allclose(bridged, mean.expand(50, 6), atol=1e-4)


@pytest.mark.parametrize("kind", [Identity, MeanShift, Ridge])
def test_output_has_unit_length_and_does_not_depend_on_company(
    kind: type[Identity] | type[MeanShift] | type[Ridge],
) -> None:
    audio, text = _unit(20, 8), _unit(20, 8).flip(0)
    bridge: Bridge = kind.fit(audio, text)
    together = bridge(audio, range(20))
    alone = torch.cat([bridge(audio[i : i + 1], [i + 9]) for i in range(20)])
    assert torch.allclose(together.norm(dim=1), torch.ones(20), atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-6)
