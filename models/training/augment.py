"""Augmentation of waveforms: what differs between two recordings of one sound, so that the encoder hears past it."""

import numpy as np
import soxr
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from models.audio import SAMPLE_RATE_HZ

Samples = Float32[np.ndarray, " _samples"]

_NOISE_SAMPLES = 1 << 16
"""A noise floor repeats after 1.4 s, which nobody hears, and costs an eighth."""


class AugmentSettings(BaseModel):
    """Shares of takes that a change is made to, and how far it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed_share: float = Field(default=0.7, ge=0.0, le=1.0)
    max_speed_factor: float = Field(default=1.25, ge=1.0, le=2.0)
    """Fastest; the slowest is its inverse. Pitch changes with speed."""
    equaliser_share: float = Field(default=0.4, ge=0.0, le=1.0)
    equaliser_db: PositiveFloat = 9.0
    band_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Takes that lose what a low sample rate or a small loudspeaker loses."""
    room_share: float = Field(default=0.4, ge=0.0, le=1.0)
    max_decay_s: PositiveFloat = 0.8
    """Longest reverberation (time to -60 dB)."""
    noise_share: float = Field(default=0.5, ge=0.0, le=1.0)
    noise_snr_db: tuple[float, float] = (10.0, 50.0)
    """Of the noise floor of a scene."""


def augment_take(take: Samples, settings: AugmentSettings, rng: np.random.Generator) -> Samples:
    """Change one take; peak level 1."""
    if rng.random() < settings.speed_share:
        bound = float(np.log(settings.max_speed_factor))
        take = change_speed(take, float(np.exp(rng.uniform(-bound, bound))))
    size = _fft_size(len(take))
    gain = _frequency_gain(size, settings, rng)
    if gain is not None:
        take = np.fft.irfft(np.fft.rfft(take, size) * gain, size)[: len(take)].astype(np.float32)
    if rng.random() < settings.room_share:
        take = add_room(take, float(rng.uniform(0.1, settings.max_decay_s)), rng)
    return (take / max(1e-6, float(np.abs(take).max()))).astype(np.float32)


def change_speed(take: Samples, factor: float) -> Samples:
    """Play faster (above 1) or slower, pitch and all."""
    changed: Samples = soxr.resample(take, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ, quality="QQ").astype(np.float32)
    return changed if len(changed) else take


def add_room(take: Samples, decay_s: float, rng: np.random.Generator) -> Samples:
    """Convolve with exponentially decaying noise after a direct sound: the diffuse part of a room's response."""
    count = int(decay_s * SAMPLE_RATE_HZ)
    envelope = 10 ** (-3 * np.arange(count) / count)
    response = (rng.standard_normal(count) * envelope).astype(np.float32)
    response *= rng.uniform(0.05, 0.6) / np.sqrt((response**2).sum())
    response[0] = 1.0
    size = _fft_size(len(take) + count)
    wet = np.fft.irfft(np.fft.rfft(take, size) * np.fft.rfft(response, size), size)
    return wet[: len(take) + count // 2].astype(np.float32)


def add_noise_floor(scene: Samples, settings: AugmentSettings, rng: np.random.Generator) -> Samples:
    """Add white to brown noise to some scenes."""
    if rng.random() >= settings.noise_share:
        return scene
    frequencies = np.maximum(np.fft.rfftfreq(_NOISE_SAMPLES, 1 / SAMPLE_RATE_HZ), 20.0)
    colour = (frequencies ** -rng.uniform(0, 1)).astype(np.float32)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(_NOISE_SAMPLES, dtype=np.float32)) * colour)
    noise = np.resize(noise / noise.std(), len(scene))
    level = float(np.abs(scene).max()) * 0.2 * 10 ** (-rng.uniform(*settings.noise_snr_db) / 20)
    return (scene + level * noise).astype(np.float32)


def _fft_size(count: int) -> int:
    """The power of two that holds `count` samples: an FFT of a prime length takes ten times longer."""
    return 1 << max(1, count - 1).bit_length()


def _frequency_gain(count: int, settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray | None:
    """Gain of each frequency of an FFT of `count` samples; None where nothing changes."""
    equalise, limit = rng.random() < settings.equaliser_share, rng.random() < settings.band_share
    if not equalise and not limit:
        return None
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 1.0)
    gain_db = np.zeros(len(frequencies))
    if equalise:
        points_hz = np.geomspace(60, 16_000, 7)
        curve = rng.uniform(-settings.equaliser_db, settings.equaliser_db, len(points_hz))
        gain_db += np.interp(np.log(frequencies), np.log(points_hz), curve)
    if limit:
        high_hz, low_hz = float(np.exp(rng.uniform(np.log(3_500), np.log(14_000)))), float(rng.uniform(20, 250))
        gain_db -= 10 * np.log10(1 + (frequencies / high_hz) ** 16) + 10 * np.log10(1 + (low_hz / frequencies) ** 6)
    return np.asarray(10 ** (gain_db / 20), dtype=np.float32)
