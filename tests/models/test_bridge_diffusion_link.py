"""Diffusion-Link as a whole: what it is before and after training, and that company changes nothing."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig, natural_start_step
from models.bridge.identity import Identity
from models.bridge.sampler import SamplingConfig
from models.bridge.statistics import EmbeddingStatistics, direction_from, mean_paired_cosine

_DIM = 32


@dataclass(frozen=True)
class Pairs:
    """A synthetic gap: the same content, half turned and noisy in audio, each modality in a cone of its own."""

    audio: Tensor
    text: Tensor
    held_out_audio: Tensor
    held_out_text: Tensor


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    content = normal(12, _DIM)[torch.randint(12, (1200,), generator=generator)] + 0.8 * normal(1200, _DIM)
    turn, _ = torch.linalg.qr(normal(_DIM, _DIM))
    text = functional.normalize(content + 2 * normal(_DIM), dim=1)
    audio = content @ turn + 0.7 * content + 0.5 * normal(1200, _DIM)
    audio = functional.normalize(audio + 2 * normal(_DIM), dim=1)
    return Pairs(audio[:1000], text[:1000], audio[1000:], text[1000:])


def _bridge(pairs: Pairs, *, centred: bool = True, noise_scale: float = 0.0) -> DiffusionLink:
    config = DiffusionLinkConfig(
        dim=_DIM,
        centred=centred,
        denoiser=DenoiserConfig(hidden_dim=96, timestep_dim=32),
        sampling=SamplingConfig(
            start_step=natural_start_step(pairs.audio, pairs.text, centred=centred), noise_scale=noise_scale
        ),
    )
    torch.manual_seed(0)
    return DiffusionLink(config, EmbeddingStatistics.fit(pairs.audio, pairs.text))


@pytest.fixture(scope="module")
def trained(pairs: Pairs) -> DiffusionLink:
    bridge = _bridge(pairs)
    optimiser = torch.optim.AdamW(bridge.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(400):
        rows = torch.randint(len(pairs.audio), (96,), generator=generator)
        optimiser.zero_grad()
        torch.autograd.backward(bridge.losses(pairs.audio[rows], pairs.text[rows], generator)["loss"])
        optimiser.step()
    return bridge.eval()


def _centred_cosine(bridged: Tensor, text: Tensor) -> float:
    """Paired cosine that no shift can raise: each side seen from its own mean."""
    return mean_paired_cosine(direction_from(bridged, bridged.mean(dim=0)), direction_from(text, text.mean(dim=0)))


def test_training_beats_identity_in_centred_cosine(pairs: Pairs, trained: DiffusionLink) -> None:
    seeds = range(len(pairs.held_out_audio))
    identity = Identity.fit(pairs.audio, pairs.text)(pairs.held_out_audio, seeds)
    bridged = trained(pairs.held_out_audio, seeds)
    before, after = (_centred_cosine(x, pairs.held_out_text) for x in (identity, bridged))
    assert after > before + 0.1
    assert mean_paired_cosine(bridged, pairs.held_out_text) > 0.85


def test_the_trained_bridge_still_tells_texts_apart(pairs: Pairs, trained: DiffusionLink) -> None:
    bridged = trained(pairs.held_out_audio, range(len(pairs.held_out_audio)))
    similarities = bridged @ pairs.held_out_text.T
    rank = (similarities > similarities.diagonal().unsqueeze(1)).sum(dim=1)
    assert float((rank < 10).float().mean()) > 0.9


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("noise_scale", [0.0, 1.0])
def test_output_has_unit_length_and_does_not_depend_on_company(pairs: Pairs, centred: bool, noise_scale: float) -> None:
    bridge = _bridge(pairs, centred=centred, noise_scale=noise_scale)
    audio, seeds = pairs.held_out_audio[:16], list(range(100, 116))
    together = bridge(audio, seeds)
    alone = torch.cat([bridge(audio[i : i + 1], [seeds[i]]) for i in range(16)])
    assert torch.allclose(together.norm(dim=1), torch.ones(16), atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.equal(together, bridge(audio, seeds))


def test_seeds_matter_only_with_noise_at_entry(pairs: Pairs) -> None:
    audio = pairs.held_out_audio[:2]
    quiet, noisy = _bridge(pairs), _bridge(pairs, noise_scale=1.0)
    assert torch.equal(quiet(audio, [1, 2]), quiet(audio, [3, 4]))
    assert not torch.allclose(noisy(audio, [1, 2]), noisy(audio, [3, 4]))


def test_untrained_it_is_the_identity_without_centring(pairs: Pairs) -> None:
    bridged = _bridge(pairs, centred=False)(pairs.held_out_audio, range(200))
    assert torch.allclose(bridged, pairs.held_out_audio, atol=1e-5)


def test_untrained_it_carries_the_direction_from_mean_to_mean(pairs: Pairs) -> None:
    bridge = _bridge(pairs)
    bridged = bridge(pairs.held_out_audio, range(200))
    directions = direction_from(bridged, bridge.statistics.text_mean)
    assert torch.allclose(directions, direction_from(pairs.held_out_audio, bridge.statistics.audio_mean), atol=1e-4)


@pytest.mark.parametrize("centred", [True, False])
def test_text_vectors_have_norm_sqrt_dim_and_come_back(pairs: Pairs, centred: bool) -> None:
    bridge = _bridge(pairs, centred=centred)
    vectors = bridge.text_vectors(pairs.text)
    assert torch.allclose(vectors.norm(dim=1), torch.tensor(_DIM**0.5), atol=1e-4)
    assert torch.allclose(bridge.text_embeddings(vectors), pairs.text, atol=1e-5)


def test_the_natural_start_step_follows_the_paired_cosine(pairs: Pairs) -> None:
    assert natural_start_step(pairs.text, pairs.text, centred=True) == 1
    near = natural_start_step(functional.normalize(pairs.text + 0.05 * pairs.audio, dim=1), pairs.text, centred=True)
    assert 1 < near < natural_start_step(pairs.audio, pairs.text, centred=True) < 1000


def test_the_loss_repeats_with_its_generator_and_reaches_the_weights(pairs: Pairs) -> None:
    bridge = _bridge(pairs)
    first, again = (bridge.losses(pairs.audio, pairs.text, torch.Generator().manual_seed(3))["loss"] for _ in range(2))
    assert torch.equal(first, again)
    first.backward()
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in bridge.parameters())


def test_a_wrong_number_of_seeds_or_width_is_refused(pairs: Pairs) -> None:
    bridge = _bridge(pairs)
    with pytest.raises(ValueError, match="1 seeds"):
        bridge(pairs.audio[:2], [1])
    with pytest.raises(ValueError, match="width 32"):
        bridge(pairs.audio[:2, :5], [1, 2])
