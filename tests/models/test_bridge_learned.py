"""What all bridges with a network share, and that each really learns the way across a gap that is known."""

from collections.abc import Callable

import pytest
import torch

from models.bridge.conditional_prior import ConditionalPrior, ConditionalPriorConfig
from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig, natural_start_step
from models.bridge.identity import Identity
from models.bridge.learned import LearnedBridge
from models.bridge.mlp_regression import MlpRegression, MlpRegressionConfig
from models.bridge.sampler import SamplingConfig
from models.bridge.statistics import EmbeddingStatistics, direction_from
from tests.models.bridge_toy import DIM, ToyPairs, measure, toy_pairs, train

_NETWORK = DenoiserConfig(hidden_dim=64, timestep_dim=16)


def _link(pairs: ToyPairs) -> DiffusionLink:
    sampling = SamplingConfig(start_step=natural_start_step(pairs.audio, pairs.text, centred=True), noise_scale=0.5)
    config = DiffusionLinkConfig(dim=DIM, denoiser=_NETWORK, sampling=sampling)
    return DiffusionLink(config, EmbeddingStatistics.fit(pairs.audio, pairs.text))


def _regression(pairs: ToyPairs) -> MlpRegression:
    return MlpRegression(MlpRegressionConfig(dim=DIM, denoiser=_NETWORK), EmbeddingStatistics.fit(pairs.audio, pairs.text))


def _text_only(pairs: ToyPairs) -> DiffusionBridge:
    statistics = EmbeddingStatistics.fit(pairs.audio, pairs.text, 5.0)
    return DiffusionBridge(DiffusionBridgeConfig(dim=DIM, denoiser=_NETWORK), statistics)


def _prior(pairs: ToyPairs) -> ConditionalPrior:
    config = ConditionalPriorConfig(dim=DIM, denoiser=_NETWORK, num_sampling_steps=20)
    return ConditionalPrior(config, EmbeddingStatistics.fit(pairs.audio, pairs.text))


_Build = Callable[[ToyPairs], LearnedBridge]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("build", [_link, _regression, _prior])
def test_from_pairs_it_learns_rotation_and_shift(build: _Build) -> None:
    pairs, held_out = toy_pairs(0), toy_pairs(1, 300)
    bridge = build(pairs)
    untrained = measure(bridge, held_out)
    train(bridge, pairs, 150)
    cosine, right = measure(bridge, held_out)
    before_cosine, before_right = measure(Identity.fit(pairs.audio, pairs.text), held_out)
    assert cosine > before_cosine + 0.4
    assert right > before_right + 0.4
    # More than what the means alone give.
    assert cosine > untrained[0] + 0.3
    assert right > untrained[1] + 0.3


def test_from_texts_alone_it_learns_where_texts_lie() -> None:
    # It sees no pair, so it cannot learn a rotation; a small one and blur it takes for noise, and removes.
    pairs, held_out = toy_pairs(0, turn=0.3, blur=0.2), toy_pairs(1, 300, turn=0.3, blur=0.2)
    bridge = _text_only(pairs)
    untrained, _ = measure(bridge, held_out)
    train(bridge, pairs, 600)
    cosine, right = measure(bridge, held_out)
    before_cosine, before_right = measure(Identity.fit(pairs.audio, pairs.text), held_out)
    assert cosine > before_cosine + 0.15
    assert cosine > untrained + 0.08
    assert right > before_right + 0.03


@pytest.mark.parametrize("build", [_link, _regression, _text_only, _prior])
def test_untrained_it_carries_the_direction_from_mean_to_mean(build: _Build) -> None:
    pairs = toy_pairs(0)
    bridge = build(pairs)
    if isinstance(bridge, DiffusionLink):
        quiet = bridge.config.model_copy(update={"sampling": SamplingConfig(start_step=500)})
        bridge = DiffusionLink(quiet, bridge.statistics)
    with torch.no_grad():
        bridged = bridge(pairs.audio, range(600))
    directions = direction_from(bridged, bridge.statistics.text_mean)
    assert torch.allclose(directions, direction_from(pairs.audio, bridge.statistics.audio_mean), atol=1e-4)


@pytest.mark.parametrize("build", [_link, _regression, _text_only, _prior])
def test_output_has_unit_length_and_does_not_depend_on_company(build: _Build) -> None:
    pairs = toy_pairs(0, 200)
    bridge = build(pairs)
    train(bridge, pairs, 20)
    audio, seeds = pairs.audio[:12], list(range(100, 112))
    with torch.no_grad():
        together = bridge(audio, seeds)
        alone = torch.cat([bridge(audio[i : i + 1], seeds[i : i + 1]) for i in range(12)])
        turned = bridge(audio.flip(0), seeds[::-1]).flip(0)
        again = bridge(audio, seeds)
    assert torch.allclose(together.norm(dim=1), torch.ones(12), atol=1e-5)
    # The noise is the same to the bit; what remains is the order in which a matrix product adds.
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, turned, atol=1e-5)
    assert torch.equal(together, again)


@pytest.mark.parametrize(("build", "matter"), [(_link, True), (_regression, False), (_text_only, False), (_prior, True)])
def test_seeds_matter_where_there_is_noise(build: _Build, matter: bool) -> None:
    pairs = toy_pairs(0, 200)
    bridge = build(pairs)
    train(bridge, pairs, 20)
    with torch.no_grad():
        first, second = bridge(pairs.audio[:2], [1, 2]), bridge(pairs.audio[:2], [3, 4])
    assert torch.equal(first, second) is not matter


def test_all_have_the_same_network() -> None:
    pairs = toy_pairs(0, 50)
    bridges = [build(pairs) for build in (_link, _regression, _text_only, _prior)]
    counts = {sum(weight.numel() for weight in bridge.denoiser.parameters()) for bridge in bridges}
    assert len(counts) == 1
    # Only the prior has anything besides: the map that merges z_k and the condition.
    beside = [sum(weight.numel() for weight in bridge.parameters()) - min(counts) for bridge in bridges]
    assert beside == [0, 0, 0, 2 * DIM * DIM + DIM]


@pytest.mark.parametrize("build", [_link, _regression, _text_only, _prior])
def test_losses_repeat_with_their_generator_and_reach_every_part(build: _Build) -> None:
    pairs = toy_pairs(0, 50)
    bridge = build(pairs)
    first, again = (bridge.losses(pairs.audio, pairs.text, torch.Generator().manual_seed(3))["loss"] for _ in range(2))
    assert torch.equal(first, again)
    # At the start each block is the identity, and only its last layer has a gradient.
    first.backward()
    outs = [weight for name, weight in bridge.named_parameters() if ".out." in name or name.startswith("merge.")]
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in outs)
