"""Diffusion Bridge against its authors' formulae, written out again."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.loss import draw_noise
from models.bridge.statistics import EmbeddingStatistics, direction_from, embedding_towards

_GENERATOR = torch.Generator().manual_seed(0)
_AUDIO, _TEXT = (functional.normalize(torch.randn(6, 8, generator=_GENERATOR) + 0.4, dim=1) for _ in range(2))


@pytest.fixture
def bridge() -> DiffusionBridge:
    torch.manual_seed(0)
    config = DiffusionBridgeConfig(dim=8, denoiser=DenoiserConfig(hidden_dim=16, timestep_dim=8))
    built = DiffusionBridge(config, EmbeddingStatistics.fit(_AUDIO, _TEXT, 5.0))
    for weight in built.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return built.eval().requires_grad_(False)


def test_the_defaults_are_the_authors(bridge: DiffusionBridge) -> None:
    sampling = bridge.config.sampling
    assert (sampling.start_step, sampling.num_sampling_steps, sampling.noise_scale) == (600, 5, 0.0)
    assert torch.allclose(bridge.text_vectors(_TEXT), 5 * direction_from(_TEXT, _TEXT.mean(dim=0)), atol=1e-5)


def test_five_steps_from_step_600_brought_to_norm_5_before_each(bridge: DiffusionBridge) -> None:
    z = 5 * direction_from(_AUDIO, _AUDIO.mean(dim=0))
    alpha_bar = bridge.schedule.alpha_bar
    for k, j in ((600, 480), (480, 360), (360, 240), (240, 120), (120, 0)):
        z = 5 * functional.normalize(z, dim=1)
        z_0 = bridge.denoiser(z, torch.full((6,), k))
        noise = (z - alpha_bar[k].sqrt() * z_0) / (1 - alpha_bar[k]).sqrt()
        z = alpha_bar[j].sqrt() * z_0 + (1 - alpha_bar[j]).sqrt() * noise
    expected = embedding_towards(functional.normalize(z, dim=1), _TEXT.mean(dim=0))
    assert torch.allclose(bridge(_AUDIO, range(6)), expected, atol=1e-5)


def test_the_loss_is_weighted_by_the_signal_to_noise_ratio(bridge: DiffusionBridge) -> None:
    losses = bridge.losses(_AUDIO, _TEXT, torch.Generator().manual_seed(4))
    text = bridge.text_vectors(_TEXT)
    noised = draw_noise(text, 1000, torch.Generator().manual_seed(4))

    def one(i: int) -> Tensor:
        alpha_bar = bridge.schedule.alpha_bar[noised.k[i]]
        z_k = alpha_bar.sqrt() * text[i] + (1 - alpha_bar).sqrt() * noised.text_noise[i]
        seen = 5 * z_k / z_k.norm()
        error = (bridge.denoiser(seen.unsqueeze(0), noised.k[i : i + 1])[0] - text[i]).square().mean()
        return alpha_bar / (1 - alpha_bar) * error

    assert float(losses["loss"]) == pytest.approx(float(torch.stack([one(i) for i in range(6)]).mean()), rel=1e-4)


def test_no_pair_is_looked_at(bridge: DiffusionBridge) -> None:
    losses = bridge.losses(torch.full_like(_AUDIO, torch.nan), _TEXT, torch.Generator().manual_seed(4))
    assert all(bool(loss.isfinite()) for loss in losses.values())
