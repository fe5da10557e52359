"""Each change does what it says, and takes stay takes."""

import numpy as np
import pytest

from models.audio import SAMPLE_RATE_HZ
from models.training.augment import AugmentSettings, add_noise_floor, add_room, augment_take, change_speed

_NOTHING = AugmentSettings(speed_share=0, equaliser_share=0, band_share=0, room_share=0, noise_share=0)


def _tone(frequency_hz: float = 1_000, duration_s: float = 1.0) -> np.ndarray:
    times = np.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.sin(2 * np.pi * frequency_hz * times).astype(np.float32)


def _pitch_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE_HZ / len(samples))


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    changed = change_speed(_tone(), factor)
    assert len(changed) == pytest.approx(SAMPLE_RATE_HZ / factor, rel=0.001)
    assert _pitch_hz(changed) == pytest.approx(1_000 * factor, rel=0.01)


def test_a_room_adds_a_decaying_tail() -> None:
    click = np.zeros(4_800, dtype=np.float32)
    click[0] = 1
    wet = add_room(click, 0.5, np.random.default_rng(0))
    early, late = (float(np.abs(wet[start : start + 2_400]).mean()) for start in (480, 12_000))
    assert wet[0] == pytest.approx(1, abs=0.01)
    assert len(wet) == 4_800 + 12_000
    assert early > 3 * late > 0


def test_a_noise_floor_lies_where_it_was_asked_for() -> None:
    settings = _NOTHING.model_copy(update={"noise_share": 1.0, "noise_snr_db": (20.0, 20.0)})
    noise = add_noise_floor(_tone(), settings, np.random.default_rng(0)) - _tone()
    assert noise.std() == pytest.approx(0.2 * 0.1, rel=0.02)


def test_a_band_limit_takes_the_highs_and_leaves_the_middle() -> None:
    settings = _NOTHING.model_copy(update={"band_share": 1.0})
    for seed in range(5):
        take = augment_take(_tone(1_000) + _tone(20_000), settings, np.random.default_rng(seed))
        spectrum = np.abs(np.fft.rfft(take))
        assert spectrum[20_000] < 0.2 * spectrum[1_000]


def test_an_equaliser_stays_in_its_bounds() -> None:
    settings = _NOTHING.model_copy(update={"equaliser_share": 1.0, "equaliser_db": 6.0})
    before = np.random.default_rng(9).standard_normal(48_000).astype(np.float32)
    after = augment_take(before, settings, np.random.default_rng(0))
    change_db = 20 * np.log10(np.abs(np.fft.rfft(after))[60:16_000] / np.abs(np.fft.rfft(before))[60:16_000])
    assert 1 < np.ptp(change_db) <= 12.1


def test_no_change_asked_no_change_made() -> None:
    take = augment_take(_tone(), _NOTHING, np.random.default_rng(0))
    np.testing.assert_allclose(take, _tone(), atol=1e-6)
    np.testing.assert_array_equal(add_noise_floor(take, _NOTHING, np.random.default_rng(0)), take)


@pytest.mark.parametrize("count", [480, 481, 480_000])
def test_any_take_comes_back_finite_at_peak_one_and_the_same_for_the_same_seed(count: int) -> None:
    settings = AugmentSettings(speed_share=1, equaliser_share=1, band_share=1, room_share=1)
    take = np.random.default_rng(1).uniform(-1, 1, count).astype(np.float32)
    one, again = (augment_take(take, settings, np.random.default_rng(3)) for _ in range(2))
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.abs(one).max() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_array_equal(one, again)


@pytest.mark.parametrize("setting", [{"room_share": 1.1}, {"max_speed_factor": 0.5}, {"equalizer_db": 3}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        AugmentSettings.model_validate(setting)
