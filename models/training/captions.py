"""Captions of scenes: the phrases of their sounds, joined the way people join them."""

import random
from collections.abc import Sequence
from typing import Literal

from models.training.bank import Sound

Layout = Literal["single", "sequence", "together"]

_SINGLE = ("{0}", "{0}", "{0}", "{0} again and again")
_AGAIN = _SINGLE[-1]
_SEQUENCE_TWO = ("{0} and then {1}", "{0}, then {1}", "first {0}, then {1}", "{0} before {1}", "{0}, after which {1}")
_SEQUENCE_THREE = ("{0}, then {1} and then {2}", "first {0}, then {1} and {2}", "{0}, {1} and then {2}")
_TOGETHER_TWO = ("{0} while {1}", "{0} and {1}", "{0} as {1}", "{0} and at the same time {1}")
_TOGETHER_THREE = ("{0} while {1} and {2}", "{0}, {1} and {2} at once", "{0} as {1} and {2}")


def write_captions(sounds: Sequence[Sound], layout: Layout, *, repeated: bool, count: int, rng: random.Random) -> list[str]:
    """Write `count` captions; sounds of a sequence come in its order, others in any."""
    return [_write_one(sounds, layout, repeated=repeated, rng=rng) for _ in range(count)]


def _write_one(sounds: Sequence[Sound], layout: Layout, *, repeated: bool, rng: random.Random) -> str:
    if layout == "single":
        template = rng.choice(_SINGLE if repeated else [t for t in _SINGLE if t != _AGAIN])
    elif layout == "sequence":
        template = rng.choice(_SEQUENCE_TWO if len(sounds) == 2 else _SEQUENCE_THREE)
    else:
        sounds = rng.sample(list(sounds), len(sounds))
        template = rng.choice(_TOGETHER_TWO if len(sounds) == 2 else _TOGETHER_THREE)
    return template.format(*(rng.choice(sound.phrases) for sound in sounds))
