"""Text memory by hand."""

import math

import pytest
import torch
from torch.nn import functional

from models.bridge.text_memory import TextMemory

_TEXT = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def test_two_texts_by_hand() -> None:
    # Logits 0.6 / 0.2 = 3 and 0.8 / 0.2 = 4, so weights 1 : e.
    bridged = TextMemory.fit(_TEXT, _TEXT, temperature=0.2)(torch.tensor([[0.6, 0.8]]), [0])
    assert torch.allclose(bridged, torch.tensor([[1.0, math.e]]) / math.hypot(1, math.e), atol=1e-6)


def test_a_text_that_was_there_twice_counts_twice() -> None:
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    bridge = TextMemory.fit(text, text, temperature=0.2)
    assert bridge.config.num_texts == 2
    bridged = bridge(torch.tensor([[0.6, 0.8]]), [0])
    assert torch.allclose(bridged, torch.tensor([[2.0, math.e]]) / math.hypot(2, math.e), atol=1e-6)


def test_it_is_the_formula_over_all_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    text = functional.normalize(torch.randn(30, 8, generator=generator), dim=1)[
        torch.randint(30, (90,), generator=generator)
    ]
    audio = functional.normalize(torch.randn(20, 8, generator=generator), dim=1)
    expected = functional.normalize(torch.softmax(audio @ text.T / 0.01, dim=1) @ text, dim=1)
    bridge = TextMemory.fit(text, text)
    assert bridge.config.temperature == 0.01
    assert torch.allclose(bridge(audio, range(20)), expected, atol=1e-5)


def test_cold_it_gives_the_nearest_text_and_hot_the_mean() -> None:
    audio = torch.tensor([[0.6, 0.8], [0.9, 0.1]])
    assert torch.allclose(TextMemory.fit(_TEXT, _TEXT, temperature=1e-4)(audio, [0, 1]), _TEXT.flip(0), atol=1e-6)
    hot = TextMemory.fit(_TEXT, _TEXT, temperature=1e4)(audio, [0, 1])
    assert torch.allclose(hot, torch.full((2, 2), 0.5**0.5), atol=1e-3)


def test_output_has_unit_length_and_does_not_depend_on_company() -> None:
    generator = torch.Generator().manual_seed(0)
    audio = functional.normalize(torch.randn(10, 8, generator=generator), dim=1)
    bridge = TextMemory.fit(audio, audio.flip(1), temperature=0.1)
    together = bridge(audio, range(10))
    alone = torch.cat([bridge(audio[i : i + 1], [i]) for i in range(10)])
    assert torch.allclose(together.norm(dim=1), torch.ones(10), atol=1e-6)
    assert torch.allclose(together, alone, atol=1e-6)


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="num_texts"):
        TextMemory.fit(torch.empty(0, 4), torch.empty(0, 4))
