"""Scenes: ten seconds, audible, what their captions say, and theirs alone by seed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from models.audio import WINDOW_SAMPLES, Waveform, cut_windows
from models.training.augment import AugmentSettings
from models.training.bank import Sound
from models.training.mixing import MixSettings, Scene, mix_scene

_RNG = np.random.default_rng(0)
_TAKES: dict[str, Sequence[np.ndarray]] = {
    "click": [_RNG.uniform(-1, 1, 700).astype(np.float32)],
    "dog": [_RNG.uniform(-1, 1, count).astype(np.float32) for count in (20_000, 70_000)],
    "rain": [_RNG.uniform(-1, 1, 900_000).astype(np.float32)],
    "bell": [_RNG.uniform(-1, 1, 300_001).astype(np.float32)],
}
_SOUNDS = {name: Sound(name=name, kind="thing", phrases=(f"a {name}", f"the {name}")) for name in _TAKES}
_SINGLE = MixSettings(single_share=1.0)
_SEVERAL = MixSettings(single_share=0.0)


def _scene(seed: object, settings: MixSettings, *, augmented: bool = False, only: str | None = None) -> Scene:
    takes = _TAKES if only is None else {only: _TAKES[only]}
    return mix_scene(takes, _SOUNDS, settings, augmented, str(seed))


@pytest.mark.parametrize("augmented", [True, False])
def test_every_scene_is_ten_audible_seconds_within_full_scale(augmented: bool) -> None:
    for seed in range(25):
        scene = _scene(seed, MixSettings(), augmented=augmented)
        assert scene.samples.shape == (WINDOW_SAMPLES,)
        assert scene.samples.dtype == np.float32
        assert np.isfinite(scene.samples).all()
        assert 0.09 < np.abs(scene.samples).max() <= 1
        assert len(scene.captions) == 4


@pytest.mark.parametrize("augmented", [True, False])
def test_a_scene_follows_from_its_seed_alone(augmented: bool) -> None:
    one, other = (_scene(seed, MixSettings(), augmented=augmented) for seed in ("5 encoder 1", "5 encoder 2"))
    again = _scene("5 encoder 1", MixSettings(), augmented=augmented)
    np.testing.assert_array_equal(one.samples, again.samples)
    assert (one.sounds, one.layout, one.captions) == (again.sounds, again.layout, again.captions)
    assert not np.array_equal(one.samples, other.samples)


def test_layout_and_number_of_sounds_belong_together() -> None:
    singles, several = [_scene(seed, _SINGLE) for seed in range(30)], [_scene(seed, _SEVERAL) for seed in range(30)]
    assert {(scene.layout, len(scene.sounds)) for scene in singles} == {("single", 1)}
    assert {scene.layout for scene in several} == {"sequence", "together"}
    assert {len(scene.sounds) for scene in several} == {2, 3}
    assert all(len(set(scene.sounds)) == len(scene.sounds) for scene in several)
    assert all(name in caption for scene in several for name in scene.sounds for caption in scene.captions)


def test_sounds_are_drawn_evenly_whatever_the_number_of_their_takes() -> None:
    counts = Counter(_scene(seed, _SINGLE).sounds[0] for seed in range(200))
    assert set(counts) == set(_TAKES)
    assert max(counts.values()) < 2 * min(counts.values())


def test_some_singles_are_padded_as_the_service_pads_them() -> None:
    padded = cut_windows(Waveform(_TAKES["click"][0]))[0]
    scenes = [_scene(seed, _SINGLE, only="click").samples for seed in range(20)]
    same = [np.allclose(scene / np.abs(scene).max(), padded / np.abs(padded).max(), atol=1e-5) for scene in scenes]
    assert 4 < sum(same) < 18


def test_again_and_again_is_said_only_of_scenes_with_pauses() -> None:
    said = [
        scene for scene in (_scene(seed, _SINGLE, only="click") for seed in range(60)) if "again" in " ".join(scene.captions)
    ]
    assert said
    assert all((scene.samples == 0).mean() > 0.5 for scene in said)


def test_a_sequence_takes_its_turns() -> None:
    takes = {"click": _TAKES["click"], "bell": _TAKES["bell"]}
    for seed in range(12):
        scene = mix_scene(takes, _SOUNDS, _SEVERAL, False, str(seed))
        first, second = np.split(np.abs(scene.samples) > 0, 2)
        if scene.layout == "sequence":
            assert first.any()
            assert second.any()
            assert not np.abs(scene.samples[WINDOW_SAMPLES // 2 - 100 : WINDOW_SAMPLES // 2]).any()


def test_augmentation_is_what_changes_a_scene() -> None:
    plain = [_scene(seed, _SINGLE, only="rain").samples for seed in range(8)]
    off = AugmentSettings(speed_share=0, equaliser_share=0, band_share=0, room_share=0, noise_share=1, noise_snr_db=(0, 0))
    noisy = [
        _scene(seed, MixSettings(single_share=1.0, augment=off), augmented=True, only="rain").samples for seed in range(8)
    ]
    assert not any(np.array_equal(a, b) for a, b in zip(plain, noisy, strict=True))


def test_a_part_of_one_sound_makes_singles_only() -> None:
    assert {_scene(seed, _SEVERAL, only="dog").layout for seed in range(10)} == {"single"}
