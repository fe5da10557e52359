"""MLP regression against its one line."""

import pytest
import torch
from torch.nn import functional

from models.bridge.denoiser import DenoiserConfig
from models.bridge.mlp_regression import MlpRegression, MlpRegressionConfig
from models.bridge.statistics import EmbeddingStatistics

_AUDIO = functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=1)
_TEXT = _AUDIO.flip(1)


def _bridge(centred: bool) -> MlpRegression:
    torch.manual_seed(0)
    config = MlpRegressionConfig(dim=8, centred=centred, denoiser=DenoiserConfig(hidden_dim=16, timestep_dim=8))
    bridge = MlpRegression(config, EmbeddingStatistics.fit(_AUDIO, _TEXT))
    for weight in bridge.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return bridge.eval().requires_grad_(False)


def test_it_is_the_network_of_the_scaled_audio() -> None:
    bridge = _bridge(centred=False)
    predicted = bridge.denoiser(8**0.5 * _AUDIO, torch.zeros(6, dtype=torch.int64))
    assert torch.allclose(bridge(_AUDIO, range(6)), functional.normalize(predicted, dim=1), atol=1e-6)


@pytest.mark.parametrize("centred", [True, False])
def test_the_loss_is_the_squared_error_to_the_text(centred: bool) -> None:
    bridge = _bridge(centred)
    predicted = bridge.denoiser(bridge.audio_vectors(_AUDIO), torch.zeros(6, dtype=torch.int64))
    loss = bridge.losses(_AUDIO, _TEXT, torch.Generator())["loss"]
    assert float(loss) == pytest.approx(float((predicted - bridge.text_vectors(_TEXT)).square().mean()))
