"""The network: identity until trained, then aware of the step."""

import pytest
import torch
from pydantic import ValidationError

from models.bridge.denoiser import Denoiser, DenoiserConfig, ResidualBlock, TimestepEmbedding

_CONFIG = DenoiserConfig(hidden_dim=32, timestep_dim=16)


def test_a_block_starts_as_the_identity() -> None:
    x, timestep = torch.randn(3, 8), torch.randn(3, 16)
    assert torch.equal(ResidualBlock(8, _CONFIG)(x, timestep), x)


def test_the_network_has_three_blocks_and_starts_as_the_identity() -> None:
    denoiser = Denoiser(8, _CONFIG)
    z = torch.randn(3, 8)
    assert len(denoiser.blocks) == 3
    assert torch.equal(denoiser(z, torch.tensor([1, 500, 1000])), z)


def test_every_weight_learns_after_the_first_step() -> None:
    denoiser = Denoiser(8, _CONFIG)
    optimiser = torch.optim.SGD(denoiser.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        denoiser(torch.randn(4, 8), torch.arange(1, 5)).square().mean().backward()
        optimiser.step()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in denoiser.parameters())


def test_a_trained_network_knows_the_step() -> None:
    denoiser = Denoiser(8, _CONFIG)
    for block in denoiser.blocks:
        assert isinstance(block, ResidualBlock)
        torch.nn.init.normal_(block.out.weight)
    z = torch.randn(1, 8)
    assert not torch.allclose(denoiser(z, torch.tensor([10])), denoiser(z, torch.tensor([900])))


def test_timestep_sinusoids_run_from_one_radian_a_step_to_a_ten_thousandth() -> None:
    frequencies = TimestepEmbedding(16).frequencies
    assert float(frequencies[0]) == pytest.approx(1.0)
    assert float(frequencies[-1]) == pytest.approx(1e-4)


def test_the_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        DenoiserConfig.model_validate({"hidden_dims": 8})
    with pytest.raises(ValidationError):
        DenoiserConfig(timestep_dim=15)
