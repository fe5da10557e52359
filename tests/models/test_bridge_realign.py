"""ReAlign by hand, and what its three steps are for."""

import math

import torch
from torch.nn import functional

from models.bridge.realign import ReAlign
from tests.models.bridge_toy import toy_pairs

# Unit vectors at ±30° around the x-axis and at ±60° around the y-axis.
_AUDIO = torch.tensor([[3**0.5 / 2, 0.5], [3**0.5 / 2, -0.5]])
_TEXT = torch.tensor([[3**0.5 / 2, 0.5], [-(3**0.5) / 2, 0.5]])


def test_two_pairs_by_hand() -> None:
    bridge = ReAlign.fit(_AUDIO, _TEXT)
    # μ_a = (√3/2, 0), tr Σ_a = ¼; μ_t = (0, ½), tr Σ_t = ¾; so c = √3.
    assert torch.allclose(bridge.trace_scale, torch.tensor(3**0.5))
    # μ_t + √3 (0, ±½) = (0, ½ ± √3/2), of unit length (0, 1) and (0, -1): μ_e = 0.
    assert torch.allclose(bridge.moved_mean, torch.zeros(2), atol=1e-6)
    # e - μ_e + μ_t = (0, 1.5) and (0, -0.5).
    assert torch.allclose(bridge(_AUDIO, [0, 1]), torch.tensor([[0.0, 1.0], [0.0, -1.0]]), atol=1e-6)
    # An audio embedding of its own: (1, 0) - μ_a = (1 - √3/2, 0), times √3 plus μ_t = (√3 - 1.5, ½).
    x, y = 3**0.5 - 1.5, 0.5
    e = (x / math.hypot(x, y), y / math.hypot(x, y) + 0.5)
    expected = torch.tensor([[e[0] / math.hypot(*e), e[1] / math.hypot(*e)]])
    assert torch.allclose(bridge(torch.tensor([[2.0, 0.0]]), [0]), expected, atol=1e-6)


def test_without_a_gap_and_drift_it_is_the_identity() -> None:
    audio = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert torch.allclose(ReAlign.fit(audio, audio.roll(1, dims=0))(audio, range(4)), audio, atol=1e-6)


def test_centroid_and_trace_come_nearer_to_the_texts() -> None:
    pairs = toy_pairs(0)
    bridged = ReAlign.fit(pairs.audio, pairs.text)(pairs.audio, range(600))

    def distances(embeddings: torch.Tensor) -> tuple[float, float]:
        centroid = (embeddings.mean(dim=0) - pairs.text.mean(dim=0)).norm()
        traces = [x.var(dim=0, correction=0).sum() for x in (embeddings, pairs.text)]
        return float(centroid), abs(float(traces[0] - traces[1]))

    before, after = distances(pairs.audio), distances(bridged)
    assert after[0] < 0.1 * before[0]
    assert after[1] < 0.1 * before[1]


def test_no_pair_is_looked_at() -> None:
    pairs = toy_pairs(0)
    again = ReAlign.fit(pairs.audio, pairs.text.flip(0))
    assert torch.allclose(
        again(pairs.audio, range(600)), ReAlign.fit(pairs.audio, pairs.text)(pairs.audio, range(600)), atol=1e-5
    )


def test_audio_that_all_agrees_gives_finite_unit_vectors() -> None:
    audio = functional.normalize(torch.ones(3, 2), dim=1)
    bridged = ReAlign.fit(audio, _TEXT[[0, 1, 1]])(audio, range(3))
    assert torch.allclose(bridged.norm(dim=1), torch.ones(3), atol=1e-5)
