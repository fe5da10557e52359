"""The conditional prior: pure noise in, only its seed and the condition decide."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from models.bridge.conditional_prior import ConditionalPrior, ConditionalPriorConfig
from models.bridge.denoiser import DenoiserConfig
from models.bridge.loss import draw_noise
from models.bridge.sampler import SamplingConfig, sample, seeded_noise
from models.bridge.statistics import EmbeddingStatistics

_AUDIO = functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)) + 0.4, dim=1)
_TEXT = _AUDIO.flip(1)


@pytest.fixture
def bridge() -> ConditionalPrior:
    torch.manual_seed(0)
    config = ConditionalPriorConfig(dim=8, num_sampling_steps=7, denoiser=DenoiserConfig(hidden_dim=16, timestep_dim=8))
    built = ConditionalPrior(config, EmbeddingStatistics.fit(_AUDIO, _TEXT))
    for weight in built.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return built.eval().requires_grad_(False)


def _denoise(bridge: ConditionalPrior, z_k: Tensor, k: Tensor) -> Tensor:
    condition = bridge.audio_vectors(_AUDIO)
    merged = z_k @ bridge.merge.weight[:, :8].T + condition @ bridge.merge.weight[:, 8:].T + bridge.merge.bias
    predicted: Tensor = bridge.denoiser(merged, k)
    return predicted


def test_it_walks_from_the_noise_of_the_seeds_at_the_last_step(bridge: ConditionalPrior) -> None:
    seeds = range(20, 26)
    config = SamplingConfig(start_step=1000, num_sampling_steps=7)
    z_0 = sample(lambda z, k: _denoise(bridge, z, k), bridge.schedule, config, seeded_noise(seeds, 8))
    assert torch.allclose(bridge(_AUDIO, seeds), bridge.text_embeddings(z_0), atol=1e-5)


def test_the_loss_is_the_squared_error_to_the_clean_text(bridge: ConditionalPrior) -> None:
    text = bridge.text_vectors(_TEXT)
    noised = draw_noise(text, 1000, torch.Generator().manual_seed(4))
    predicted = _denoise(bridge, bridge.schedule.q_sample(text, noised.k, noised.text_noise), noised.k)
    loss = bridge.losses(_AUDIO, _TEXT, torch.Generator().manual_seed(4))["loss"]
    assert float(loss) == pytest.approx(float((predicted - text).square().mean()), rel=1e-5)


@pytest.mark.parametrize("steps", [0, 1001])
def test_it_walks_at_least_one_step_and_at_most_all(steps: int) -> None:
    with pytest.raises(ValidationError):
        ConditionalPriorConfig(dim=8, num_sampling_steps=steps)
