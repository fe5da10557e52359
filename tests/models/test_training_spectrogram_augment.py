"""Augmentation of spectrograms: changes what it may, bounded and by its own generator."""

import torch

from models.training.spectrogram_augment import SpectrogramAugmentSettings, augment_log_mel

_OFF = SpectrogramAugmentSettings(
    gain_db=0, equaliser_db=0, mel_shift=0, background_share=0, time_mask_frames=0, mel_mask_bands=0
)


def _batch() -> torch.Tensor:
    return -80 * torch.rand(4, 50, 16, generator=torch.Generator().manual_seed(0))


def _augment(settings: SpectrogramAugmentSettings, seed: int = 0) -> torch.Tensor:
    return augment_log_mel(_batch(), settings, torch.Generator().manual_seed(seed))


def test_with_all_off_only_time_turns_round() -> None:
    augmented = _augment(_OFF)
    assert not torch.equal(augmented, _batch())
    assert torch.equal(augmented.sort(dim=1).values, _batch().sort(dim=1).values)


def test_the_same_generator_gives_the_same_and_input_is_kept() -> None:
    batch = _batch()
    settings = SpectrogramAugmentSettings()
    first = augment_log_mel(batch, settings, torch.Generator().manual_seed(1))
    assert torch.equal(batch, _batch())
    assert torch.equal(first, _augment(settings, 1))
    assert not torch.equal(first, _augment(settings, 2))


def test_gain_is_one_bounded_number_a_row() -> None:
    augmented = _augment(_OFF.model_copy(update={"gain_db": 3.0}))
    shift = augmented.mean(dim=(1, 2)) - _batch().mean(dim=(1, 2))
    assert bool((shift.abs() <= 3.0).all())
    assert float(shift.std()) > 0.1


def test_a_background_only_adds_power_and_stays_below() -> None:
    settings = _OFF.model_copy(update={"background_share": 1.0, "background_db": (-10.0, -10.0)})
    difference = _augment(settings).sort(dim=1).values.amax(dim=1) - _batch().amax(dim=1)
    assert bool((difference >= -1e-4).all())
    loudest = _augment(settings).amax(dim=(1, 2)) - _batch().amax(dim=(1, 2))
    assert bool((loudest <= 10 * torch.log10(torch.tensor(1.1)) + 1e-3).all())


def test_masks_are_floors_of_bounded_size() -> None:
    settings = _OFF.model_copy(update={"time_mask_frames": 10, "mel_mask_bands": 3})
    masked = _augment(settings, 5) == -100
    assert bool(masked.any())
    assert int(masked.all(dim=2).sum(dim=1).max()) <= 20
    assert int(masked.all(dim=1).sum(dim=1).max()) <= 6
