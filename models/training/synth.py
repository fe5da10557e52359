"""Sounds that our own code makes: for thin kinds of the soundbank, and for a corpus that needs no download at all.

One generator a name; every call draws its own parameters. Peak level about 1; 48 kHz.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from models.audio import SAMPLE_RATE_HZ

Samples = Float32[np.ndarray, " _samples"]


def synthesize(name: str, rng: np.random.Generator, duration_s: float = 10.0) -> Samples:
    """Make one take.

    Raises:
        KeyError: there is no generator of that name.
    """
    count = int(duration_s * SAMPLE_RATE_HZ)
    samples = GENERATORS[name](rng, count)
    return (samples / max(1e-9, float(np.abs(samples).max()))).astype(np.float32)


def _times(count: int) -> np.ndarray:
    return np.arange(count) / SAMPLE_RATE_HZ


def _slope_noise(rng: np.random.Generator, count: int, slope: float, low_hz: float, high_hz: float) -> np.ndarray:
    """Gaussian noise whose amplitude falls with frequency to the power of `slope`, inside a band."""
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    gain = np.maximum(frequencies, 20.0) ** -slope
    gain *= 1 / (1 + (low_hz / np.maximum(frequencies, 1)) ** 4) / (1 + (frequencies / high_hz) ** 4)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * gain, count)


def _swell(rng: np.random.Generator, count: int, rate_hz: float, depth: float) -> np.ndarray:
    """A slow random level around 1."""
    points = max(4, int(count / SAMPLE_RATE_HZ * rate_hz) + 2)
    level = np.interp(np.linspace(0, points - 1, count), np.arange(points), rng.uniform(-1, 1, points))
    return np.asarray(10 ** (depth * level / 20))


def _rain(rng: np.random.Generator, count: int) -> np.ndarray:
    hiss = _slope_noise(rng, count, rng.uniform(0.0, 0.4), rng.uniform(200, 1200), rng.uniform(6000, 16000))
    drops = np.zeros(count)
    for start in rng.integers(0, count - 2000, int(rng.uniform(5, 150) * count / SAMPLE_RATE_HZ)):
        length = int(rng.uniform(100, 900))
        drop = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 5))
        drops[start : start + length] += drop * rng.uniform(0.2, 1)
    hiss *= _swell(rng, count, 0.5, 3.0)
    return np.asarray(hiss / hiss.std() + rng.uniform(0.2, 1.5) * drops)


def _wind(rng: np.random.Generator, count: int) -> np.ndarray:
    noise = _slope_noise(rng, count, rng.uniform(0.8, 1.6), 30.0, rng.uniform(400, 2500))
    whistle_hz = rng.uniform(300, 1200) * _swell(rng, count, 0.7, 3.0)
    whistle = np.sin(2 * np.pi * np.cumsum(whistle_hz) / SAMPLE_RATE_HZ) * rng.uniform(0, 0.4)
    return np.asarray((noise / noise.std() + whistle) * _swell(rng, count, rng.uniform(0.3, 1.0), rng.uniform(6, 14)))


def _engine(rng: np.random.Generator, count: int) -> np.ndarray:
    rate_hz = rng.uniform(18, 110) * _swell(rng, count, 0.6, rng.uniform(0.2, 3))
    phase = 2 * np.pi * np.cumsum(rate_hz) / SAMPLE_RATE_HZ
    harmonics = int(rng.integers(6, 24))
    tone = sum(
        rng.uniform(0.3, 1) / n ** rng.uniform(0.5, 1.3) * np.sin(n * phase + rng.uniform(0, 6.3))
        for n in range(1, harmonics)
    )
    pulses = np.maximum(0, np.sin(phase)) ** rng.uniform(2, 8)
    noise = _slope_noise(rng, count, 0.6, 40.0, rng.uniform(1500, 6000))
    return np.asarray(np.asarray(tone) + rng.uniform(0.2, 1.5) * pulses * noise / noise.std())


def _siren(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(350, 800)
    high = low * rng.uniform(1.3, 2.6)
    cycle = _times(count) * rng.uniform(0.15, 3) + rng.uniform(0, 1)
    shape = [0.5 - 0.5 * np.cos(2 * np.pi * cycle), (cycle % 1 < 0.5) * 1.0, cycle % 1][int(rng.integers(3))]
    phase = 2 * np.pi * np.cumsum(low + (high - low) * shape) / SAMPLE_RATE_HZ
    return np.asarray(sum(np.sin(n * phase) / n ** rng.uniform(0.8, 2) for n in (1, 2, 3, 4)))


def _pulsed_tone(rng: np.random.Generator, count: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Tones in a pattern of pulses and pauses."""
    frequencies = rng.uniform(low_hz, high_hz, int(rng.integers(1, 4)))
    period_s, duty = rng.uniform(0.15, 1.4), rng.uniform(0.2, 0.7)
    pulses = int(rng.integers(1, 5))
    cycle = _times(count) / period_s
    on = (cycle % 1 < duty) & ((cycle % (pulses + int(rng.integers(0, 3)))) < pulses)
    edge = np.hanning(int(0.008 * SAMPLE_RATE_HZ))
    gate = np.convolve(on.astype(float), edge / edge.sum(), "same")
    tone_hz = frequencies[(cycle.astype(int)) % len(frequencies)]
    phase = 2 * np.pi * np.cumsum(tone_hz) / SAMPLE_RATE_HZ
    square = rng.uniform(0, 0.6)
    return gate * ((1 - square) * np.sin(phase) + square * np.sign(np.sin(phase)))


def _beep(rng: np.random.Generator, count: int) -> np.ndarray:
    return _pulsed_tone(rng, count, 500.0, 2800.0)


def _alarm(rng: np.random.Generator, count: int) -> np.ndarray:
    hammer_hz = rng.uniform(10, 32)
    bell = np.zeros(count)
    decay_s, partials = rng.uniform(0.02, 0.15), rng.uniform(1200, 6000, 6)
    strike = np.arange(int(0.3 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    ring = sum(np.sin(2 * np.pi * f * strike) for f in partials) * np.exp(-strike / decay_s)
    for start in range(0, count - len(strike), int(SAMPLE_RATE_HZ / hammer_hz)):
        bell[start : start + len(strike)] += ring
    return bell


def _clock(rng: np.random.Generator, count: int) -> np.ndarray:
    out = np.zeros(count)
    interval = int(SAMPLE_RATE_HZ * rng.uniform(0.18, 1.05))
    length = int(SAMPLE_RATE_HZ * rng.uniform(0.01, 0.06))
    t = np.arange(length) / SAMPLE_RATE_HZ
    clicks = []
    for _ in range(2):
        tones = sum(np.sin(2 * np.pi * f * t) for f in rng.uniform(900, 7000, 4))
        clicks.append((tones + rng.standard_normal(length)) * np.exp(-t * rng.uniform(80, 400)))
    for index, start in enumerate(range(0, count - length, interval)):
        out[start : start + length] += clicks[index % 2] * rng.uniform(0.8, 1)
    return out


def _hum(rng: np.random.Generator, count: int) -> np.ndarray:
    base_hz = rng.choice([50, 60, 100, 120]) * rng.uniform(0.9, 1.15)
    t = _times(count)
    tone = sum(
        rng.uniform(0.05, 1) / n**0.7 * np.sin(2 * np.pi * n * base_hz * t + rng.uniform(0, 6.3))
        for n in range(1, int(rng.integers(4, 14)))
    )
    noise = _slope_noise(rng, count, 0.5, 30.0, 4000.0)
    return np.asarray(np.asarray(tone) + rng.uniform(0, 0.1) * noise / noise.std())


def _static(rng: np.random.Generator, count: int) -> np.ndarray:
    noise = _slope_noise(rng, count, rng.uniform(0, 0.25), rng.uniform(20, 500), rng.uniform(5000, 20000))
    crackle = (rng.random(count) < rng.uniform(0, 0.002)) * rng.standard_normal(count) * rng.uniform(1, 6)
    return np.asarray(noise / noise.std() + crackle)


GENERATORS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "rain": _rain,
    "wind": _wind,
    "engine": _engine,
    "siren": _siren,
    "beep": _beep,
    "clock": _clock,
    "alarm": _alarm,
    "hum": _hum,
    "static": _static,
}
