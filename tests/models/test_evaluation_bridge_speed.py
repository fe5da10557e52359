"""Times of bridges: the median of the passes after the first, a thousand rows at once and each alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.bridge.identity import Identity
from models.evaluation.bridge_speed import measure_speeds, speed_table
from tests.models.bridge_toy import toy_pairs

_PAIRS = toy_pairs(0, 30)


class _Watched(Identity):
    """Lets a clock of its own go on: a second for a call, and a hundredth for a row; the first thousand takes long."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.now, self.sizes = 0.0, list[int]()

    def forward(self, audio_embeddings: Tensor, seeds: Sequence[int]) -> Tensor:
        """Nothing but time passes."""
        self.now += 500 if not self.sizes else 1 + len(audio_embeddings) / 100
        self.sizes.append(len(audio_embeddings))
        return audio_embeddings


def test_a_thousand_at_once_and_one_alone() -> None:
    bridge = _Watched(Identity.fit(_PAIRS.audio, _PAIRS.text).config)
    report = measure_speeds({"a": bridge}, _PAIRS.audio, torch.device("cpu"), lambda: bridge.now)
    (speed,) = report.bridges
    assert (speed.name, report.device, report.passes) == ("a", "cpu", 5)
    # The warm-up does not count.
    assert abs(speed.thousand_s - 11) < 1e-6
    assert abs(speed.alone_s - 1.01) < 1e-6
    assert bridge.sizes[:6] == [1000] * 6
    assert set(bridge.sizes[6:]) == {1}


def test_real_time_passes() -> None:
    bridge = Identity.fit(_PAIRS.audio, _PAIRS.text)
    (speed,) = measure_speeds({"a": bridge}, _PAIRS.audio, torch.device("cpu")).bridges
    assert speed.thousand_s > 0
    assert speed.alone_s > 0


def test_the_table_has_seconds_and_milliseconds() -> None:
    bridge = _Watched(Identity.fit(_PAIRS.audio, _PAIRS.text).config)
    table = speed_table(measure_speeds({"a": bridge}, _PAIRS.audio, torch.device("cpu"), lambda: bridge.now))
    assert table.rows == (("a", "11.00000", "1010.000"),)
