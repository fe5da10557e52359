"""Diffusion Bridge against its authors' formulae, written out again."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.loss import draw_noise
from models.bridge.sampler import SamplingConfig, seeded_noise
from models.bridge.statistics import EmbeddingStatistics, direction_from, embedding_towards, mean_paired_cosine

_GENERATOR = torch.Generator().manual_seed(0)
_AUDIO, _TEXT = (functional.normalize(torch.randn(6, 8, generator=_GENERATOR) + 0.4, dim=1) for _ in range(2))


def _untrained(**settings: Any) -> DiffusionBridge:
    config = DiffusionBridgeConfig(dim=8, denoiser=DenoiserConfig(hidden_dim=16, timestep_dim=8), **settings)
    return DiffusionBridge(config, EmbeddingStatistics.fit(_AUDIO, _TEXT, 5.0)).eval().requires_grad_(False)


@pytest.fixture
def bridge() -> DiffusionBridge:
    torch.manual_seed(0)
    built = _untrained()
    for weight in built.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return built.eval().requires_grad_(False)


def _walk(bridge: DiffusionBridge, z: Tensor, steps: list[int]) -> Tensor:
    alpha_bar = bridge.schedule.alpha_bar
    for k, j in pairwise(steps):
        z = 5 * functional.normalize(z, dim=1)
        z_0 = bridge.denoiser(z, torch.full((6,), k))
        noise = (z - alpha_bar[k].sqrt() * z_0) / (1 - alpha_bar[k]).sqrt()
        z = alpha_bar[j].sqrt() * z_0 + (1 - alpha_bar[j]).sqrt() * noise
    return embedding_towards(functional.normalize(z, dim=1), _TEXT.mean(dim=0))


def test_the_defaults_are_the_authors(bridge: DiffusionBridge) -> None:
    sampling = bridge.config.sampling
    assert (sampling.start_step, sampling.num_sampling_steps, sampling.noise_scale) == (600, 5, 0.0)
    assert bridge.config.augmentation_step == 400
    assert torch.allclose(bridge.text_vectors(_TEXT), 5 * direction_from(_TEXT, _TEXT.mean(dim=0)), atol=1e-5)


def test_five_steps_from_step_600_brought_to_norm_5_before_each(bridge: DiffusionBridge) -> None:
    z = 5 * direction_from(_AUDIO, _AUDIO.mean(dim=0))
    assert torch.allclose(bridge(_AUDIO, range(6)), _walk(bridge, z, [600, 480, 360, 240, 120, 0]), atol=1e-5)


def test_texts_for_the_decoder_are_noised_to_step_400_and_walked_back(bridge: DiffusionBridge) -> None:
    noise = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))
    alpha_bar = bridge.schedule.alpha_bar[400]
    z = alpha_bar.sqrt() * 5 * direction_from(_TEXT, _TEXT.mean(dim=0)) + (1 - alpha_bar).sqrt() * noise
    expected = _walk(bridge, z, [400, 320, 240, 160, 80, 0])
    assert (bridge.own_text_space, bridge.augments_texts) == (False, True)
    assert torch.allclose(bridge.noised_text_side(_TEXT, noise, 0.5), expected, atol=1e-5)
    assert torch.allclose(bridge.text_side(_TEXT), _TEXT, atol=1e-6)


def test_texts_noised_to_a_later_step_come_back_less_like_themselves() -> None:
    text = _TEXT.repeat(50, 1)
    noise = torch.randn(300, 8, generator=torch.Generator().manual_seed(2))
    cosines = []
    for step in (1, 250, 500, 900):
        back = _untrained(augmentation_step=step).noised_text_side(text, noise, 0.0)
        assert torch.allclose(back.norm(dim=1), torch.ones(300), atol=1e-5)
        cosines.append(mean_paired_cosine(back, text))
    assert cosines[0] > 0.99
    assert all(before > after + 0.01 for before, after in pairwise(cosines))


def test_several_walks_from_noise_give_their_mean_and_depend_on_the_seed_alone() -> None:
    entry = SamplingConfig(start_step=600, num_sampling_steps=1, noise_scale=1.0, num_samples=3)
    bridge = _untrained(sampling=entry)
    bridged = bridge(_AUDIO, range(6))
    alone = torch.cat([bridge(_AUDIO[i : i + 1], [i]) for i in range(6)])
    assert torch.allclose(bridged, alone, atol=1e-5)
    # Untrained, one step gives the noised vector itself, at norm 5.
    alpha_bar = bridge.schedule.alpha_bar[600]
    audio = 5 * direction_from(_AUDIO, _AUDIO.mean(dim=0))
    z = alpha_bar.sqrt() * audio.unsqueeze(1) + (1 - alpha_bar).sqrt() * seeded_noise(range(6), 8, 3).view(6, 3, 8)
    mean = functional.normalize(functional.normalize(z, dim=2).mean(dim=1), dim=1)
    assert torch.allclose(bridged, embedding_towards(mean, _TEXT.mean(dim=0)), atol=1e-5)


@pytest.mark.parametrize("step", [0, 1001])
def test_an_augmentation_step_outside_of_the_schedule_is_refused(step: int) -> None:
    with pytest.raises(ValidationError, match="augmentation_step"):
        _untrained(augmentation_step=step)


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
