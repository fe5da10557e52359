"""Every bad file of issue 3, by name, with the error type that it is answered with."""

import struct

import numpy as np

from tests.app.fakes import encoded, sound

_WAV = sound(0.5)


def _header(rate_hz: int = 48_000, channels: int = 1, data_bytes: int = 9_600) -> bytes:
    block = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, (rate_hz * block) & 0xFFFFFFFF, block, 16)
    body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes) + bytes(9_600)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _with_nan() -> bytes:
    samples = np.full(4_800, 0.1, dtype=np.float32)
    samples[100] = np.nan
    return encoded(samples, subtype="FLOAT")


def _hour_of_silence() -> bytes:
    data = encoded(np.zeros(3_600 * 8_000, dtype=np.int16), 8_000, format="FLAC")
    assert len(data) < 400_000
    return data


BAD_FILES = {
    "empty.wav": (b"", "empty_audio"),
    "truncated.wav": (_WAV[: len(_WAV) // 2], "damaged_audio"),
    "header-only.wav": (_WAV[:20], "damaged_audio"),
    "text.wav": (b"this is not a sound, whatever its name says\n" * 10, "unreadable_audio"),
    "0-hz.wav": (_header(rate_hz=0), "unsupported_audio"),
    "10-mhz.wav": (_header(rate_hz=10_000_000), "unsupported_audio"),
    "64-channels.wav": (_header(channels=64), "unsupported_audio"),
    "promises-more.wav": (_header(data_bytes=96_000_000), "damaged_audio"),
    "nan.wav": (_with_nan(), "damaged_audio"),
    "one-sample.wav": (encoded(np.array([0.5])), "audio_too_short"),
    "no-sample.wav": (encoded(np.zeros(0)), "empty_audio"),
    "hour-of-silence.flac": (_hour_of_silence(), "audio_too_long"),
}
