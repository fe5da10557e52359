"""The sampler against a Gaussian, whose posterior mean and whose flow back to step 0 have a closed form."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.bridge.sampler import (
    SamplingConfig,
    enter,
    mean_of_samples,
    sample,
    sampling_steps,
    seeded_noise,
    there_and_back,
)
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


def test_several_noises_of_a_seed_stand_together_and_depend_on_it_alone() -> None:
    batch = seeded_noise([5, 6], 64, 3)
    assert batch.shape == (6, 64)
    assert torch.equal(batch, torch.cat([seeded_noise([5], 64, 3), seeded_noise([6], 64, 3)]))
    assert torch.equal(seeded_noise([9, 6, 5], 64, 3)[3:], batch[[3, 4, 5, 0, 1, 2]])
    assert len(batch.unique(dim=0)) == 6


@pytest.mark.parametrize("dim", [7, 64])
def test_a_single_noise_is_what_the_seed_draws_first(dim: int) -> None:
    expected = torch.stack([torch.randn(dim, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)])
    assert torch.equal(seeded_noise([5, 6], dim), expected)
    assert torch.equal(seeded_noise([5, 6], dim, 1), expected)


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


def test_entry_with_several_samples_noises_each_row_as_often() -> None:
    audio = torch.randn(2, 8)
    z = enter(audio, _SCHEDULE, SamplingConfig(start_step=500, noise_scale=1.0, num_samples=3), [1, 2])
    rows = audio[[0, 0, 0, 1, 1, 1]]
    assert torch.allclose(z, _SCHEDULE.q_sample(rows, torch.full((6,), 500), seeded_noise([1, 2], 8, 3)), atol=1e-6)


def test_the_mean_is_taken_over_the_samples_of_each_row() -> None:
    z_0 = torch.tensor([[1.0, 1.0], [3.0, 5.0], [0.0, 0.0], [2.0, -2.0]])
    assert torch.equal(mean_of_samples(z_0, 2), torch.tensor([[2.0, 3.0], [1.0, -1.0]]))
    assert torch.equal(mean_of_samples(z_0, 4), torch.tensor([[1.5, 1.0]]))
    assert mean_of_samples(z_0[:0], 3).shape == (0, 2)


def test_the_mean_of_one_sample_is_that_sample() -> None:
    z_0 = torch.randn(5, 8)
    assert torch.equal(mean_of_samples(z_0, 1), z_0)


def _there_and_back(text: Tensor, noise: Tensor, start_step: int, num_sampling_steps: int) -> Tensor:
    steps = {"start_step": start_step, "num_sampling_steps": num_sampling_steps}
    return there_and_back(_posterior_mean, _SCHEDULE, text, noise, **steps)


def test_there_and_back_in_one_step_is_the_posterior_mean_of_the_noised_text() -> None:
    text, noise = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    k = torch.full((50,), 600)
    expected = _posterior_mean(_SCHEDULE.q_sample(text, k, noise), k)
    assert torch.allclose(_there_and_back(text, noise, 600, 1), expected, atol=1e-6)


@pytest.mark.parametrize("start_step", [200, 700])
def test_there_and_back_draws_a_text_towards_the_mean_as_far_as_noise_hides_it(start_step: int) -> None:
    text = torch.tensor([4.0, 0.0, 3.0])
    noise = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    back = _there_and_back(text.expand(4000, 3), noise, start_step, 1).mean(dim=0)
    a = _SCHEDULE.alpha_bar[start_step]
    expected = _MEAN + _VARIANCE * a / (_VARIANCE * a + 1 - a) * (text - _MEAN)
    # Five standard errors of a mean over 4,000 draws, whose deviation is below 1.
    assert torch.allclose(back, expected, atol=0.08)


def test_there_and_back_in_many_steps_gives_texts_as_they_are_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    text = _MEAN + _VARIANCE.sqrt() * torch.randn(4000, 3, generator=generator)
    back = _there_and_back(text, torch.randn(4000, 3, generator=generator), 700, 100)
    assert torch.allclose(back.mean(dim=0), _MEAN, atol=0.1)
    assert torch.allclose(back.var(dim=0), _VARIANCE, rtol=0.15)


@pytest.mark.parametrize(("start_step", "steps"), [(3, [3, 2, 1]), (10, [10, 8, 6, 4, 2])])
def test_there_and_back_never_takes_more_steps_than_there_are(start_step: int, steps: list[int]) -> None:
    seen = []

    def half(z_k: Tensor, k: Tensor) -> Tensor:
        seen.append((k.tolist(), z_k))
        return z_k / 2

    norm = torch.tensor(5.0)
    there_and_back(
        half, _SCHEDULE, torch.randn(2, 3), torch.randn(2, 3), start_step=start_step, num_sampling_steps=5, norm=norm
    )
    assert [k for k, _ in seen] == [[step, step] for step in steps]
    assert all(torch.allclose(z_k.norm(dim=1), norm) for _, z_k in seen)


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
        {"start_step": 500, "num_samples": 2},
        {"start_step": 500, "noise_scale": 0.5, "num_samples": 0},
        {"start_step": 500, "steps": 5},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SamplingConfig.model_validate(settings)
