"""The cosine schedule against its formula, the figures of the design, and its own geometry."""

import math

import numpy as np
import pytest
import torch

from models.bridge.schedule import CosineSchedule, cosine_alpha_bar


@pytest.mark.parametrize(
    ("k", "expected"),
    [(0, 1.0), (100, 0.972), (200, 0.899), (300, 0.787), (400, 0.647), (500, 0.494), (600, 0.341), (700, 0.203)],
)
def test_alpha_bar_has_the_known_values(k: int, expected: float) -> None:
    assert float(cosine_alpha_bar()[k]) == pytest.approx(expected, abs=5e-4)


def test_alpha_bar_is_equation_17_until_beta_is_bounded() -> None:
    def f(k: int) -> float:
        return math.cos((k / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bar = cosine_alpha_bar()
    assert all(float(alpha_bar[k]) == pytest.approx(f(k) / f(0), rel=1e-9) for k in range(1000))
    assert float(alpha_bar[1000] / alpha_bar[999]) == pytest.approx(0.001, rel=1e-9)


def test_alpha_bar_is_that_of_diffusers_by_its_formula() -> None:
    """Against `betas_for_alpha_bar` of diffusers ("squaredcos_cap_v2"), written again in numpy: β first, then products."""
    edges = np.cos((np.linspace(0, 1, 1001) + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.minimum(1 - edges[1:] / edges[:-1], 0.999)
    np.testing.assert_allclose(cosine_alpha_bar()[1:].numpy(), np.cumprod(1 - beta), rtol=1e-9)


def test_alpha_bar_is_that_of_diffusers_itself() -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed; its formula is tested above")
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    # Its step i is our i + 1; it multiplies a thousand factors in float32. Its version 0.42 differs by 1.3e-5.
    torch.testing.assert_close(CosineSchedule().alpha_bar[1:], scheduler.alphas_cumprod, rtol=1e-4, atol=1e-9)


def test_signal_to_noise_is_one_where_both_are_equal() -> None:
    schedule = CosineSchedule()
    k = torch.tensor([1, 600, 1000])
    alpha_bar = cosine_alpha_bar()[k]
    assert torch.allclose(schedule.signal_to_noise(k).double(), alpha_bar / (1 - alpha_bar), rtol=5e-3)
    half = int((schedule.alpha_bar - 0.5).abs().argmin())
    assert float(schedule.signal_to_noise(torch.tensor([half]))) == pytest.approx(1.0, abs=0.01)


def test_alpha_bar_falls_and_stays_above_zero() -> None:
    alpha_bar = CosineSchedule().alpha_bar
    assert alpha_bar.shape == (1001,)
    assert bool((alpha_bar.diff() < 0).all())
    assert float(alpha_bar[-1]) > 0


def test_q_sample_mixes_each_row_at_its_own_step() -> None:
    schedule = CosineSchedule()
    z_0, noise = torch.randn(2, 4), torch.randn(2, 4)
    z_k = schedule.q_sample(z_0, torch.tensor([0, 600]), noise)
    assert torch.equal(z_k[0], z_0[0])
    a = schedule.alpha_bar[600]
    assert torch.allclose(z_k[1], a.sqrt() * z_0[1] + (1 - a).sqrt() * noise[1])


def test_start_step_inverts_the_geometry() -> None:
    schedule = CosineSchedule()
    for k in (1, 100, 500, 999):
        assert schedule.start_step_for_cosine(float(schedule.alpha_bar[k].sqrt())) == k
    assert schedule.start_step_for_cosine(1.0) == 1
    assert schedule.start_step_for_cosine(-0.3) == 1000


def test_the_cosine_to_a_noised_vector_is_the_one_the_geometry_says() -> None:
    schedule, generator = CosineSchedule(), torch.Generator().manual_seed(0)
    dim = 512
    z_0 = torch.nn.functional.normalize(torch.randn(200, dim, generator=generator), dim=1) * math.sqrt(dim)
    k = torch.full((200,), 600)
    z_k = schedule.q_sample(z_0, k, torch.randn(200, dim, generator=generator))
    cosine = torch.nn.functional.cosine_similarity(z_k, z_0, dim=1).mean()
    assert float(cosine) == pytest.approx(0.584, abs=0.01)


def test_the_table_is_not_saved() -> None:
    assert not CosineSchedule().state_dict()
