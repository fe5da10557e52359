"""C3 by hand: both halves, the bridge and what the decoder must be trained on."""

import pytest
import torch

from models.bridge.c3 import C3
from models.bridge.mean_shift import MeanShift

_AUDIO = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_TEXT = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.6, 0.8]])


def test_audio_loses_its_mean() -> None:
    # (1, 0, 0) - (½, ½, 0) = (½, -½, 0)
    expected = torch.tensor([[0.5, -0.5, 0.0], [-0.5, 0.5, 0.0]]) / 0.5**0.5
    assert torch.allclose(C3.fit(_AUDIO, _TEXT)(_AUDIO, [0, 1]), expected)


def test_texts_lose_their_mean() -> None:
    # Unit texts (0, 0, 1) and (0, 0.6, 0.8), mean (0, 0.3, 0.9): (0, -0.3, 0.1) and (0, 0.3, -0.1).
    expected = torch.tensor([[0.0, -0.3, 0.1], [0.0, 0.3, -0.1]]) / 0.1**0.5
    assert torch.allclose(C3.fit(_AUDIO, _TEXT).text_side(_TEXT), expected, atol=1e-6)


def test_noise_comes_in_before_the_length_is_brought_to_one() -> None:
    # (0, -0.3, 0.1) + (0.3, 0.3, 0.3) = (0.3, 0, 0.4)
    noised = C3.fit(_AUDIO, _TEXT).noised_text_side(_TEXT[:1], torch.ones(1, 3), 0.09)
    assert torch.allclose(noised, torch.tensor([[0.6, 0.0, 0.8]]), atol=1e-6)


def test_its_texts_are_its_own_and_no_decoder_is_shared() -> None:
    bridge, other = C3.fit(_AUDIO, _TEXT), MeanShift.fit(_AUDIO, _TEXT)
    assert (bridge.own_text_space, bridge.augments_texts) == (True, False)
    assert (other.own_text_space, other.augments_texts) == (False, False)


def test_other_bridges_leave_texts_where_clap_puts_them() -> None:
    bridge = MeanShift.fit(_AUDIO, _TEXT)
    assert torch.allclose(bridge.text_side(_TEXT), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.6, 0.8]]))
    noised = bridge.noised_text_side(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.5, 0.0, 0.0]]), 0.25)
    assert torch.allclose(noised, torch.tensor([[0.6, 0.0, 0.8]]))


@pytest.mark.parametrize("count", [1, 5])
def test_output_has_unit_length(count: int) -> None:
    audio = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    bridged = C3.fit(_AUDIO, _TEXT)(audio, range(count))
    assert torch.allclose(bridged.norm(dim=1), torch.ones(count), atol=1e-6)
