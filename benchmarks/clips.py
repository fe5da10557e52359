"""The sounds that are sent: made by code, the same in every process and every run."""

import io
from dataclasses import dataclass, field

import numpy as np
import soundfile as sf

RATE_HZ = 48_000
SHORT_S = 1.0
LONG_S = 60.0
SHORT_COUNT = 8
"""Different short clips, so that an answer given to the wrong request shows."""
_BOUNDARY = "diffusion-link-benchmark"
FORM_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as it is sent, and the caption that it gets when nothing else is going on."""

    form: bytes = field(repr=False)
    caption: str


def short_wavs() -> list[bytes]:
    """One-second clips, 16 bit mono at 48 kHz (96 KB each)."""
    return [_wav(SHORT_S, seed) for seed in range(SHORT_COUNT)]


def long_wav() -> bytes:
    """A clip of six windows (5.8 MB)."""
    return _wav(LONG_S, SHORT_COUNT)


def clip_of(wav: bytes, caption: str) -> Clip:
    """Put a clip into a form, once, so that the client has nothing to do while it measures."""
    disposition = 'content-disposition: form-data; name="file"; filename="clip.wav"'
    head = f"--{_BOUNDARY}\r\n{disposition}\r\ncontent-type: audio/wav\r\n\r\n"
    return Clip(head.encode() + wav + f"\r\n--{_BOUNDARY}--\r\n".encode(), caption)


def noisy_tone(seconds: float, seed: int, rate_hz: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    """A tone that swells, and some noise: `frames channels`, other pitches and noise for other seeds."""
    source = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = np.sin(2 * np.pi * 110 * 2 ** (seed * 7 / 12) * time_s) * (0.2 + 0.2 * np.sin(2 * np.pi * (seed + 1) * time_s))
    return tone[:, None] + source.normal(0, 0.02 * (seed + 1), (len(time_s), channels))


def encoded(samples: np.ndarray, rate_hz: int, **settings: str) -> bytes:
    """Samples as a file; 16-bit WAV unless `format` says otherwise."""
    file = io.BytesIO()
    sf.write(file, np.clip(samples, -1, 1), rate_hz, **({"format": "WAV", "subtype": "PCM_16"} | settings))
    return file.getvalue()


def _wav(seconds: float, seed: int) -> bytes:
    return encoded(noisy_tone(seconds, seed), RATE_HZ)
