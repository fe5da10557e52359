"""Diffusion-Link as a whole: what it is before and after training, and that company changes nothing."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig, natural_start_step
from models.bridge.identity import Identity
from models.bridge.sampler import SamplingConfig, seeded_noise
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


def _bridge(
    pairs: Pairs,
    *,
    centred: bool = True,
    noise_scale: float = 0.0,
    num_samples: int = 1,
    augmentation_step: int | None = None,
    num_sampling_steps: int = 5,
) -> DiffusionLink:
    config = DiffusionLinkConfig(
        dim=_DIM,
        centred=centred,
        denoiser=DenoiserConfig(hidden_dim=96, timestep_dim=32),
        sampling=SamplingConfig(
            start_step=natural_start_step(pairs.audio, pairs.text, centred=centred),
            noise_scale=noise_scale,
            num_samples=num_samples,
            num_sampling_steps=num_sampling_steps,
        ),
        augmentation_step=augmentation_step,
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
@pytest.mark.parametrize(("noise_scale", "num_samples"), [(0.0, 1), (1.0, 1), (1.0, 3)])
def test_output_has_unit_length_and_does_not_depend_on_company(
    pairs: Pairs, centred: bool, noise_scale: float, num_samples: int
) -> None:
    bridge = _bridge(pairs, centred=centred, noise_scale=noise_scale, num_samples=num_samples)
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


def test_each_row_draws_all_its_samples_from_its_own_seed(pairs: Pairs) -> None:
    bridge, audio = _bridge(pairs, noise_scale=1.0, num_samples=3), pairs.held_out_audio[:1].expand(3, -1)
    bridged, other = bridge(audio, [1, 2, 1]), bridge(audio, [1, 3, 1])
    assert torch.allclose(bridged[0], bridged[2], atol=1e-6)
    assert torch.allclose(bridged[[0, 2]], other[[0, 2]], atol=1e-6)
    assert not torch.allclose(bridged[1], other[1], atol=1e-2)
    assert not torch.allclose(bridged[0], bridged[1], atol=1e-2)


def test_untrained_and_in_one_step_it_is_the_vector_with_the_mean_of_its_noises(pairs: Pairs) -> None:
    bridge = _bridge(pairs, centred=False, noise_scale=1.0, num_samples=4, num_sampling_steps=1)
    alpha_bar = bridge.schedule.alpha_bar[bridge.config.sampling.start_step]
    noise = torch.stack([seeded_noise([seed], _DIM, 4).mean(dim=0) for seed in (1, 2)])
    z = alpha_bar.sqrt() * _DIM**0.5 * pairs.held_out_audio[:2] + (1 - alpha_bar).sqrt() * noise
    assert torch.allclose(bridge(pairs.held_out_audio[:2], [1, 2]), functional.normalize(z, dim=1), atol=1e-5)


def _with_weights_of(trained: DiffusionLink, bridge: DiffusionLink) -> DiffusionLink:
    bridge.load_state_dict(trained.state_dict())
    return bridge.eval()


def test_the_mean_of_several_walks_lies_nearer_to_the_text(pairs: Pairs, trained: DiffusionLink) -> None:
    def cosine(num_samples: int) -> float:
        bridge = _with_weights_of(trained, _bridge(pairs, noise_scale=1.0, num_samples=num_samples))
        return mean_paired_cosine(bridge(pairs.held_out_audio, range(200)), pairs.held_out_text)

    assert cosine(8) > cosine(1) + 0.01


def test_texts_noised_to_a_later_step_come_back_less_like_themselves(pairs: Pairs, trained: DiffusionLink) -> None:
    text, noise = pairs.held_out_text, torch.randn(200, _DIM, generator=torch.Generator().manual_seed(5))
    cosines = []
    for step in (1, 300, 600, 900):
        bridge = _with_weights_of(trained, _bridge(pairs, augmentation_step=step))
        assert (bridge.own_text_space, bridge.augments_texts) == (False, True)
        back = bridge.noised_text_side(text, noise, 0.5)
        assert torch.allclose(back.norm(dim=1), torch.ones(200), atol=1e-5)
        assert torch.equal(bridge.text_side(text), functional.normalize(text, dim=1))
        cosines.append(mean_paired_cosine(back, text))
    assert cosines[0] > 0.9
    assert all(before > after + 0.02 for before, after in pairwise(cosines))


@pytest.mark.parametrize("centred", [True, False])
def test_augmentation_is_one_look_at_the_noised_text_where_one_step_is_walked(pairs: Pairs, centred: bool) -> None:
    bridge = _bridge(pairs, centred=centred, augmentation_step=250, num_sampling_steps=1)
    for weight in bridge.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    text, noise = pairs.text[:7], torch.randn(7, _DIM)
    alpha_bar = bridge.schedule.alpha_bar[250]
    z_k = alpha_bar.sqrt() * bridge.text_vectors(text) + (1 - alpha_bar).sqrt() * noise
    expected = bridge.text_embeddings(bridge.denoiser(z_k, torch.full((7,), 250)))
    assert torch.allclose(bridge.noised_text_side(text, noise, 0.0), expected, atol=1e-5)


def test_without_augmentation_texts_are_noised_as_everywhere(pairs: Pairs) -> None:
    bridge = _bridge(pairs)
    assert (bridge.own_text_space, bridge.augments_texts) == (False, False)
    noise = torch.randn(1000, _DIM)
    expected = functional.normalize(pairs.text + 0.2 * noise, dim=1)
    assert torch.allclose(bridge.noised_text_side(pairs.text, noise, 0.04), expected, atol=1e-6)


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


def test_nothing_in_nothing_out(pairs: Pairs) -> None:
    assert _bridge(pairs, noise_scale=1.0, num_samples=3)(pairs.audio[:0], []).shape == (0, _DIM)


@pytest.mark.parametrize("step", [0, 1001])
def test_an_augmentation_step_outside_of_the_schedule_is_refused(pairs: Pairs, step: int) -> None:
    with pytest.raises(ValidationError, match="augmentation_step"):
        _bridge(pairs, augmentation_step=step)
