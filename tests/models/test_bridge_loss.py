"""The losses against their definitions, and against a Gaussian whose optimum is known."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.bridge.loss import BridgeLoss, LossConfig, NoisedPairs, bridge_loss, draw_noise, topology_loss
from models.bridge.schedule import CosineSchedule


def _identity(z_k: Tensor, k: Tensor) -> Tensor:
    return z_k


def _loss(config: LossConfig, audio: Tensor, text: Tensor, noised: NoisedPairs) -> BridgeLoss:
    return bridge_loss(_identity, CosineSchedule(), config, audio, text, noised)


def _rotation(dim: int) -> Tensor:
    rotation: Tensor = torch.linalg.qr(torch.randn(dim, dim))[0]
    return rotation


def test_topology_is_zero_exactly_when_similarities_agree() -> None:
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-2.0, 0.0]])
    same_similarities = torch.tensor([[0.0, 3.0], [1.0, 0.0], [0.0, -1.0]])
    others = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
    assert float(topology_loss(same_similarities, texts)) == 0.0
    assert float(topology_loss(others, texts)) > 0.01


def test_topology_is_invariant_under_a_common_rotation() -> None:
    torch.manual_seed(0)
    predictions, texts, rotation = torch.randn(6, 8), torch.randn(6, 8), _rotation(8)
    before = topology_loss(predictions, texts)
    assert float(topology_loss(predictions @ rotation, texts @ rotation)) == pytest.approx(float(before), rel=1e-4)
    assert float(topology_loss(predictions @ rotation, predictions)) == pytest.approx(0.0, abs=1e-10)


def test_topology_is_the_mean_over_ordered_pairs() -> None:
    predictions = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # Cosines 1, 0, 0 against 0, 0, 1: two of three pairs differ by 1.
    assert float(topology_loss(predictions, texts)) == pytest.approx(2 / 3)


def test_topology_of_a_single_pair_is_zero() -> None:
    assert float(topology_loss(torch.randn(1, 4), torch.randn(1, 4))) == 0.0


def test_total_adds_the_weighted_terms() -> None:
    torch.manual_seed(0)
    audio, text = torch.randn(4, 8), torch.randn(4, 8)
    noised = draw_noise(text, 1000, torch.Generator().manual_seed(0))
    loss = _loss(LossConfig(text_weight=2.0, audio_weight=0.5, topology_weight=3.0), audio, text, noised)
    assert float(loss.total) == pytest.approx(float(2.0 * loss.text + 0.5 * loss.audio + 3.0 * loss.topology))
    schedule = CosineSchedule()
    text_k = schedule.q_sample(text, noised.k, noised.text_noise)
    audio_k = schedule.q_sample(audio, noised.k, noised.audio_noise)
    assert float(loss.text) == pytest.approx(float((text_k - text).square().mean()))
    assert float(loss.audio) == pytest.approx(float((audio_k - text).square().mean()))
    topology = (2.0 * topology_loss(text_k, text) + 0.5 * topology_loss(audio_k, text)) / 2.5
    assert float(loss.topology) == pytest.approx(float(topology))


@pytest.mark.parametrize("left_out", ["audio", "text"])
def test_a_term_of_weight_zero_is_not_computed(left_out: str) -> None:
    torch.manual_seed(0)
    audio, text = torch.randn(2, 4, 8)
    noised = draw_noise(text, 1000, torch.Generator().manual_seed(0))
    # The text is also what is to be predicted, so it is its noised self that must not be looked at.
    nothing = torch.full_like(text, torch.nan)
    if left_out == "audio":
        audio, noised = nothing, replace(noised, audio_noise=nothing)
    else:
        noised = replace(noised, text_noise=nothing)
    seen = []

    def identity(z_k: Tensor, k: Tensor) -> Tensor:
        seen.append(z_k)
        return z_k

    weights = {"text_weight": 2.0, "audio_weight": 2.0} | {f"{left_out}_weight": 0.0}
    loss = bridge_loss(identity, CosineSchedule(), LossConfig(**weights, topology_weight=3.0), audio, text, noised)
    start, noise = (text, noised.text_noise) if left_out == "audio" else (audio, noised.audio_noise)
    (z_k,) = seen
    assert torch.allclose(z_k, CosineSchedule().q_sample(start, noised.k, noise))
    error, topology = float((z_k - text).square().mean()), float(topology_loss(z_k, text))
    parts = (error, 0.0) if left_out == "audio" else (0.0, error)
    assert (float(loss.text), float(loss.audio)) == pytest.approx(parts)
    assert float(loss.topology) == pytest.approx(topology)
    assert float(loss.total) == pytest.approx(2 * error + 3 * topology)


@pytest.mark.parametrize("settings", [{"text_weight": 0.0, "audio_weight": 0.0}, {"text_weight": -0.5}])
def test_weights_that_teach_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="text_weight"):
        LossConfig.model_validate(settings)


def test_one_modality_is_enough() -> None:
    for settings in ({"text_weight": 0.0}, {"audio_weight": 0.0}):
        assert LossConfig.model_validate(settings).topology_weight == 1.0


def test_draws_repeat_with_the_generator_and_cover_the_schedule() -> None:
    text = torch.zeros(4000, 2)
    first, again = (draw_noise(text, 10, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.k, again.k)
    assert torch.equal(first.text_noise, again.text_noise)
    assert set(first.k.tolist()) == set(range(1, 11))
    assert not torch.equal(first.text_noise, first.audio_noise)


def test_the_posterior_mean_of_a_gaussian_reaches_the_posterior_variance() -> None:
    schedule, generator = CosineSchedule(), torch.Generator().manual_seed(0)
    variance, k = 0.5, 500
    alpha_bar = schedule.alpha_bar[k]
    text = variance**0.5 * torch.randn(4000, 16, generator=generator)

    def posterior_mean(z_k: Tensor, k: Tensor) -> Tensor:
        return z_k * alpha_bar.sqrt() * variance / (variance * alpha_bar + 1 - alpha_bar)

    steps = torch.full((len(text),), k)
    noised = NoisedPairs(k=steps, text_noise=torch.randn(text.shape, generator=generator), audio_noise=text)
    config = LossConfig(audio_weight=0.0, topology_weight=0.0)
    loss = bridge_loss(posterior_mean, schedule, config, text, text, noised)
    expected = variance * (1 - alpha_bar) / (variance * alpha_bar + 1 - alpha_bar)
    # 64,000 squared errors: the standard error of their mean is below 1 %.
    assert float(loss.total) == pytest.approx(float(expected), rel=0.03)
