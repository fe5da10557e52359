"""Captions: the phrases of the sounds, in their order where there is one."""

import random

import pytest

from models.training.bank import Sound
from models.training.captions import Layout, write_captions

_SOUNDS = [
    Sound(name=name, kind="thing", phrases=(f"the {name} sounds", f"a {name} is heard")) for name in ("dog", "bell", "car")
]


def _captions(count: int, layout: Layout, *, repeated: bool = False, seed: int = 0) -> list[str]:
    return write_captions(_SOUNDS[:count], layout, repeated=repeated, count=60, rng=random.Random(seed))


@pytest.mark.parametrize(
    ("count", "layout"), [(1, "single"), (2, "sequence"), (3, "sequence"), (2, "together"), (3, "together")]
)
def test_every_caption_names_each_sound_once_in_plain_lower_case(count: int, layout: Layout) -> None:
    captions = _captions(count, layout)
    assert len(captions) == 60
    assert len(set(captions)) > 1
    for caption in captions:
        assert [caption.count(name.name) for name in _SOUNDS] == [1] * count + [0] * (3 - count)
        assert caption == caption.lower().strip(" .")
        assert not set("{}") & set(caption)


@pytest.mark.parametrize("count", [2, 3])
def test_a_sequence_is_told_in_its_order(count: int) -> None:
    for caption in _captions(count, "sequence"):
        places = [caption.index(sound.name) for sound in _SOUNDS[:count]]
        assert places == sorted(places)


def test_sounds_at_once_are_told_in_any_order() -> None:
    assert {caption.index("dog") < caption.index("bell") for caption in _captions(2, "together")} == {True, False}


def test_again_and_again_is_said_of_what_repeats_alone() -> None:
    assert any("again" in caption for caption in _captions(1, "single", repeated=True))
    assert not any("again" in caption for caption in _captions(1, "single"))


def test_captions_follow_from_the_seed() -> None:
    assert _captions(2, "together", seed=1) == _captions(2, "together", seed=1) != _captions(2, "together", seed=2)
