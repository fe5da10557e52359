"""The sampler against a Gaussian, whose posterior mean and whose flow back to step 0 have a closed form."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.bridge.sampler import SamplingConfig, enter, sample, sampling_steps, seeded_noise
from models.bridge.schedule import CosineSchedule

_SCHEDULE = CosineSchedule()
_MEAN = torch.tensor([2.0, -1.0, 0.0])
_VARIANCE = torch.tensor([0.3, 1.0, 2.0])


def _posterior_mean(z_k: Tensor, k: Tensor) -> Tensor:
    """E[z_0 | z_k] for z_0 ~ N(mean, diag(variance))."""
    a = _SCHEDULE.alpha_bar[k].unsqueeze(1)
    return _MEAN + _VARIANCE * a.sqrt() / (_VARIANCE * a + 1 - a) * (z_k - a.sqrt() * _MEAN)


def _sample(z: Tensor, start_step: int, num_sampling_steps: int) -> Tensor:
    config = SamplingConfig(start_step=start_step, num_sampling_steps=num_sampling_steps)
    return sample(_posterior_mean, _SCHEDULE, config, z)


def test_one_step_gives_the_posterior_mean() -> None:
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(_sample(z, 600, 1), _posterior_mean(z, torch.full((50,), 600)), atol=1e-6)


def test_many_steps_follow_the_flow_to_its_closed_form() -> None:
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    a = _SCHEDULE.alpha_bar[600]
    # Quantiles are kept along the flow (Song et al. 2021, arXiv 2011.13456, section 4.3, for a Gaussian).
    expected = _MEAN + _VARIANCE.sqrt() * (z - a.sqrt() * _MEAN) / (_VARIANCE * a + 1 - a).sqrt()
    errors = [float((_sample(z, 600, n) - expected).abs().max()) for n in (5, 50, 600)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_noised_data_comes_back_as_data() -> None:
    generator = torch.Generator().manual_seed(0)
    data = _MEAN + _VARIANCE.sqrt() * torch.randn(4000, 3, generator=generator)
    z = _SCHEDULE.q_sample(data, torch.full((4000,), 400), torch.randn(4000, 3, generator=generator))
    back = _sample(z, 400, 100)
    # Four standard errors of the mean and of the variance of 4,000 draws, and the discretisation.
    assert torch.allclose(back.mean(dim=0), _MEAN, atol=0.1)
    assert torch.allclose(back.var(dim=0), _VARIANCE, rtol=0.15)


def test_with_a_norm_the_vector_is_brought_to_it_before_each_step() -> None:
    seen = []

    def half(z_k: Tensor, k: Tensor) -> Tensor:
        seen.append(z_k)
        return z_k / 2

    config = SamplingConfig(start_step=600, num_sampling_steps=4)
    z_0 = sample(half, _SCHEDULE, config, torch.randn(6, 3), norm=torch.tensor(5.0))
    assert len(seen) == 4
    assert all(torch.allclose(z_k.norm(dim=1), torch.tensor(5.0)) for z_k in seen)
    assert torch.allclose(z_0, seen[-1] / 2, atol=1e-6)


def test_steps_are_even_and_end_at_zero() -> None:
    assert sampling_steps(600, 5) == [600, 480, 360, 240, 120, 0]
    assert sampling_steps(3, 3) == [3, 2, 1, 0]
    assert sampling_steps(7, 2) == [7, 4, 0]


def test_noise_has_the_same_bits_alone_and_in_a_batch() -> None:
    batch = seeded_noise([5, 6, 7], 64)
    alone = torch.cat([seeded_noise([seed], 64) for seed in (5, 6, 7)])
    assert torch.equal(batch, alone)
    assert torch.equal(seeded_noise([7, 5], 64), batch[[2, 0]])
    assert seeded_noise([], 64).shape == (0, 64)


def test_noise_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    seeded_noise([1, 2], 8)
    assert torch.equal(torch.rand(1), expected)


def test_entry_without_noise_is_the_vector_itself() -> None:
    audio = torch.randn(2, 8)
    assert torch.equal(enter(audio, _SCHEDULE, SamplingConfig(start_step=500), [1, 2]), audio)


def test_entry_with_full_noise_is_the_forward_process() -> None:
    audio = torch.randn(2, 8)
    z = enter(audio, _SCHEDULE, SamplingConfig(start_step=500, noise_scale=1.0), [1, 2])
    expected = _SCHEDULE.q_sample(audio, torch.tensor([500, 500]), seeded_noise([1, 2], 8))
    assert torch.allclose(z, expected, atol=1e-6)


@pytest.mark.parametrize("noise_scale", [0.3, 1.0])
def test_entry_keeps_the_norm(noise_scale: float) -> None:
    audio = torch.nn.functional.normalize(torch.randn(200, 256), dim=1) * 16
    z = enter(audio, _SCHEDULE, SamplingConfig(start_step=500, noise_scale=noise_scale), range(200))
    assert float(z.norm(dim=1).mean()) == pytest.approx(16, rel=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        {"start_step": 0},
        {"start_step": 1001},
        {"start_step": 3, "num_sampling_steps": 4},
        {"start_step": 500, "noise_scale": 1.5},
        {"start_step": 500, "steps": 5},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SamplingConfig.model_validate(settings)
