"""Bytes to waveforms to windows: every format and rate, every kind of bad file, limits that hold while decoding."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from jaxtyping import Float
from transformers import ClapFeatureExtractor

from models.audio import (
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    AudioLimits,
    Waveform,
    cut_windows,
    decode_audio,
    libsndfile_formats,
    window_spans_s,
)
from models.errors import (
    AudioError,
    AudioTooLongError,
    AudioTooShortError,
    DamagedAudioError,
    EmptyAudioError,
    UnreadableAudioError,
    UnsupportedAudioError,
)

_LIMITS = AudioLimits()
_TONE_HZ = 440.0
_Samples = Float[np.ndarray, "*shape"]


def _tone(rate_hz: int = SAMPLE_RATE_HZ, duration_s: float = 1.0, level: float = 0.5) -> _Samples:
    return level * np.sin(2 * np.pi * _TONE_HZ * np.arange(round(rate_hz * duration_s)) / rate_hz)


def _encode(samples: _Samples, rate_hz: int = SAMPLE_RATE_HZ, **settings: Any) -> bytes:
    file = io.BytesIO()
    with sf.SoundFile(file, "w", rate_hz, 1 if samples.ndim == 1 else samples.shape[1], **settings) as writer:
        # In parts: libsndfile's Vorbis encoder overflows its stack on long arrays.
        for start in range(0, len(samples), rate_hz):
            writer.write(samples[start : start + rate_hz])
    return file.getvalue()


def _wav(samples: _Samples, rate_hz: int = SAMPLE_RATE_HZ, subtype: str = "PCM_16") -> bytes:
    return _encode(samples, rate_hz, format="WAV", subtype=subtype)


def _is_tone(waveform: Waveform, tolerance: float = 0.02) -> bool:
    """Whether the middle is the tone of `_tone` in pitch, level and phase."""
    middle = slice(SAMPLE_RATE_HZ // 4, 3 * SAMPLE_RATE_HZ // 4)
    return bool(np.abs(waveform.samples[middle] - _tone()[middle]).max() < tolerance)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"format": "WAV", "subtype": "PCM_U8"}, 0.01),
        ({"format": "WAV", "subtype": "PCM_16"}, 1e-4),
        ({"format": "WAV", "subtype": "PCM_24"}, 1e-6),
        ({"format": "WAV", "subtype": "PCM_32"}, 1e-6),
        ({"format": "WAV", "subtype": "FLOAT"}, 1e-6),
        ({"format": "WAV", "subtype": "DOUBLE"}, 1e-6),
        ({"format": "WAV", "subtype": "ULAW"}, 0.02),
        ({"format": "WAV", "subtype": "ALAW"}, 0.02),
        ({"format": "WAV", "subtype": "IMA_ADPCM"}, 0.02),
        ({"format": "WAV", "subtype": "MS_ADPCM"}, 0.02),
        ({"format": "WAV", "subtype": "PCM_16", "endian": "BIG"}, 1e-4),
        ({"format": "WAVEX", "subtype": "PCM_24"}, 1e-6),
        ({"format": "RF64", "subtype": "PCM_16"}, 1e-4),
        ({"format": "FLAC", "subtype": "PCM_16"}, 1e-4),
        ({"format": "FLAC", "subtype": "PCM_24"}, 1e-6),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.05),
        ({"format": "OGG", "subtype": "OPUS"}, 0.05),
        ({"format": "MP3"}, 0.05),
    ],
)
def test_every_format_is_the_same_tone(settings: dict[str, str], tolerance: float) -> None:
    waveform = decode_audio(_encode(_tone(), **settings), _LIMITS)
    assert waveform.samples.dtype == np.float32
    assert waveform.duration_s == pytest.approx(1, abs=0.05)
    assert _is_tone(waveform, tolerance)


@pytest.mark.parametrize(
    "rate_hz", [4_001, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 47_999, 48_000, 88_200, 96_000, 176_400, 192_000]
)
@pytest.mark.parametrize("file_format", ["WAV", "FLAC"])
def test_every_rate_is_the_same_tone(rate_hz: int, file_format: str) -> None:
    waveform = decode_audio(_encode(_tone(rate_hz), rate_hz, format=file_format), _LIMITS)
    assert len(waveform.samples) == pytest.approx(SAMPLE_RATE_HZ, abs=1)
    assert _is_tone(waveform, 1e-3)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_channels_are_averaged(channels: int, rate_hz: int) -> None:
    samples = np.zeros((rate_hz, channels))
    samples[:, -1] = _tone(rate_hz)
    mono = decode_audio(_wav(channels * samples / 8, rate_hz), _LIMITS)
    expected = decode_audio(_wav(_tone(rate_hz, level=0.5 / 8), rate_hz), _LIMITS)
    np.testing.assert_allclose(mono.samples, expected.samples, atol=1e-4)


def test_blocks_leave_no_seam() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 200_000)
    waveform = decode_audio(_wav(samples, subtype="FLOAT"), _LIMITS)
    np.testing.assert_array_equal(waveform.samples, samples.astype(np.float32))
    tone = decode_audio(_wav(_tone(44_100, 5), 44_100), _LIMITS)
    np.testing.assert_allclose(tone.samples[1_000:-1_000], _tone(duration_s=5)[1_000:-1_000], atol=1e-3)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
@pytest.mark.parametrize("level", [2.0, 32_768.0, 3e38])
@pytest.mark.parametrize("channels", [1, 2])
def test_loud_samples_are_clipped(rate_hz: int, level: float, channels: int) -> None:
    signs = np.sign(np.random.default_rng(0).standard_normal(rate_hz))
    samples = np.repeat((level * signs)[:, None], channels, axis=1)
    waveform = decode_audio(_wav(samples, rate_hz, "FLOAT"), _LIMITS)
    assert np.isfinite(waveform.samples).all()
    assert np.abs(waveform.samples).max() == 1


def _patched(data: bytes, offset: int, content: bytes) -> bytes:
    return data[:offset] + content + data[offset + len(content) :]


_WAV = _wav(_tone())
_FLAC = _encode(_tone(), format="FLAC")
_FLAC_OF_UNKNOWN_LENGTH = _patched(_FLAC, 21, bytes([_FLAC[21] & 0xF0]) + bytes(4))
_FLAC_OF_ANOTHER_LENGTH = _patched(_FLAC, 22, struct.pack(">I", 100_000))


@pytest.mark.parametrize("data", [_patched(_WAV, 40, struct.pack("<I", 0xFFFFFFFF)), _patched(_WAV, 4, bytes(4))])
def test_a_wav_from_a_streaming_writer_is_read_to_its_end(data: bytes) -> None:
    assert _is_tone(decode_audio(data, _LIMITS))
    zeroed = _patched(_patched(_WAV, 40, bytes(4)), 4, bytes(4))
    assert decode_audio(zeroed, _LIMITS).duration_s == 1


def test_a_flac_from_a_streaming_writer_is_read_to_its_end() -> None:
    np.testing.assert_array_equal(
        decode_audio(_FLAC_OF_UNKNOWN_LENGTH, _LIMITS).samples, decode_audio(_FLAC, _LIMITS).samples
    )


def _with_sample(value: float) -> bytes:
    samples = _tone()
    samples[40_000] = value
    return _wav(samples, subtype="DOUBLE")


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"", EmptyAudioError, "the file is empty"),
        (_wav(_tone()[:0]), EmptyAudioError, "no samples"),
        (b"This is text, whatever its name says.\n", UnreadableAudioError, "not a WAV, FLAC, OGG or MP3 file"),
        (b"\xff\xfb", UnreadableAudioError, "not a readable"),
        (b"\xff", UnreadableAudioError, "not a WAV"),
        (b"OggS" + bytes(100), UnreadableAudioError, "not a readable"),
        (b"fLaC" + bytes(100), UnreadableAudioError, "not a readable"),
        (b"ID3" + bytes(100), UnreadableAudioError, "not a readable"),
        (b"RIFF\0\0\0\0AVI ", UnreadableAudioError, "not a WAV"),
        (_encode(_tone(), format="AIFF"), UnreadableAudioError, "not a WAV"),
        (_encode(_tone(), format="AU"), UnreadableAudioError, "not a WAV"),
        (
            b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + _encode(_tone(), format="AIFF"),
            UnreadableAudioError,
            "AIFF files are not supported",
        ),
        (_WAV[:20_000], DamagedAudioError, "the header promises 96000 bytes of audio, the file holds 19956"),
        (_patched(_WAV, 40, struct.pack("<I", 10**9)), DamagedAudioError, "promises 1000000000 bytes"),
        (_FLAC[: len(_FLAC) // 2], DamagedAudioError, "damaged or cut short"),
        (_patched(_FLAC, len(_FLAC) // 2, b"\xff" * 50), DamagedAudioError, "damaged or cut short"),
        (_FLAC_OF_ANOTHER_LENGTH, DamagedAudioError, "the header promises 100000 frames, the file holds 48000"),
        (_with_sample(np.nan), DamagedAudioError, "not finite"),
        (_with_sample(-np.inf), DamagedAudioError, "not finite"),
        (_with_sample(1e300), DamagedAudioError, "not finite"),
        (_patched(_WAV, 24, struct.pack("<I", 0)), UnsupportedAudioError, "a sample rate of 0 Hz"),
        (_patched(_WAV, 24, struct.pack("<I", 10_000_000)), UnsupportedAudioError, "a sample rate of 10000000 Hz"),
        (_wav(_tone(3_999), 3_999), UnsupportedAudioError, "3999 Hz is not supported .4000 to 192000 Hz"),
        (_wav(np.zeros((480, 64))), UnsupportedAudioError, "64 channels are not supported .at most 8"),
        (_wav(_tone()[:1]), AudioTooShortError, "the clip lasts 0.0208 ms; the least is 50 ms"),
        (_wav(_tone()[:1], 192_000), AudioTooShortError, "0.00521 ms"),
        (_encode(_tone()[:100], format="FLAC"), AudioTooShortError, "2.08 ms"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(data: bytes, error: type[AudioError], reason: str) -> None:
    with pytest.raises(AudioError, match=reason) as refused:
        decode_audio(data, _LIMITS)
    assert type(refused.value) is error


@pytest.mark.parametrize("settings", [{"format": "WAV"}, {"format": "FLAC"}, {"format": "OGG"}, {"format": "MP3"}])
def test_random_damage_gives_audio_or_an_audio_error(settings: dict[str, str]) -> None:
    whole = _encode(_tone(16_000, 0.3), 16_000, **settings)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for offset in rng.integers(0, min(len(data), 200), 3):
            data[offset] = rng.integers(256)
        try:
            waveform = decode_audio(bytes(data[: rng.integers(1, len(data) + 1)]), _LIMITS)
        except AudioError:
            refused += 1
        else:
            assert np.isfinite(waveform.samples).all()
    assert refused > 0


@pytest.mark.parametrize(
    ("duration_s", "error"), [(0.1, None), (0.0999, AudioTooShortError), (2.0, None), (2.0001, AudioTooLongError)]
)
@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_limits_of_duration_are_inclusive(duration_s: float, error: type[AudioError] | None, rate_hz: int) -> None:
    limits = replace(_LIMITS, min_duration_s=0.1, max_duration_s=2.0)
    data = _wav(_tone(rate_hz, duration_s), rate_hz)
    if error is None:
        assert decode_audio(data, limits).duration_s == pytest.approx(duration_s)
    else:
        with pytest.raises(error):
            decode_audio(data, limits)


def _silence(seconds: int, rate_hz: int, **settings: Any) -> bytes:
    return _encode(np.zeros(seconds * rate_hz, dtype=np.float32), rate_hz, **settings)


@pytest.mark.parametrize(
    "make",
    [
        lambda: _silence(3_600, 8_000, format="FLAC"),
        lambda: _silence(3_600, 8_000, format="OGG"),
        lambda: _silence(3_600, 8_000, format="WAV", subtype="PCM_U8"),
    ],
)
def test_an_hour_of_silence_is_refused_without_decoding_it_all(
    make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make()
    frames = 0
    read = sf.SoundFile.read

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal frames
        block = read(*arguments, **settings)
        frames += len(block)
        return block

    monkeypatch.setattr(sf.SoundFile, "read", counted)
    with pytest.raises(AudioTooLongError, match="longer than 60 s"):
        decode_audio(data, replace(_LIMITS, max_duration_s=60.0))
    assert frames < 70 * 8_000


def test_a_header_that_lies_about_length_does_not_help_a_long_file() -> None:
    data = _silence(100, 8_000, format="FLAC")
    with pytest.raises(AudioTooLongError):
        decode_audio(_patched(data, 22, bytes(4)), replace(_LIMITS, max_duration_s=60.0))


def _waveform(samples: int) -> Waveform:
    rng = np.random.default_rng(samples)
    return Waveform(rng.uniform(-0.9, 0.9, samples).astype(np.float32))


def test_full_windows_are_cut_in_order() -> None:
    waveform = _waveform(3 * WINDOW_SAMPLES)
    windows = cut_windows(waveform)
    assert windows.shape == (3, WINDOW_SAMPLES)
    np.testing.assert_array_equal(windows.reshape(-1), waveform.samples)


@pytest.mark.parametrize("samples", [1, 2_400, 100_000, WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2 + 1, WINDOW_SAMPLES])
def test_repeat_padding_is_that_of_transformers(samples: int) -> None:
    waveform = _waveform(samples)
    extractor = ClapFeatureExtractor()
    padded, is_longer = extractor._get_input_mel(waveform.samples, WINDOW_SAMPLES, "rand_trunc", "repeatpad")
    (window,) = cut_windows(waveform)
    assert not is_longer
    np.testing.assert_array_equal(padded[0], extractor._np_extract_fbank_features(window, extractor.mel_filters_slaney))


@pytest.mark.parametrize(
    ("samples", "count", "last_end_s"),
    [
        (WINDOW_SAMPLES - 1, 1, 10 - 1 / SAMPLE_RATE_HZ),
        (WINDOW_SAMPLES, 1, 10),
        (WINDOW_SAMPLES + 1, 1, 10),
        (WINDOW_SAMPLES + SAMPLE_RATE_HZ - 1, 1, 10),
        (WINDOW_SAMPLES + SAMPLE_RATE_HZ, 2, 11),
        (4 * WINDOW_SAMPLES, 4, 40),
    ],
)
def test_a_remainder_is_a_window_from_one_second_on(samples: int, count: int, last_end_s: float) -> None:
    waveform = _waveform(samples)
    windows = cut_windows(waveform)
    spans = window_spans_s(waveform.duration_s, len(windows))
    assert len(windows) == len(spans) == count
    assert [start for start, _ in spans] == [10.0 * i for i in range(count)]
    assert spans[-1][1] == pytest.approx(last_end_s, abs=1e-9)


def test_the_last_window_repeats_its_own_samples() -> None:
    waveform = _waveform(WINDOW_SAMPLES + 150_000)
    first, last = cut_windows(waveform)
    tail = waveform.samples[WINDOW_SAMPLES:]
    np.testing.assert_array_equal(first, waveform.samples[:WINDOW_SAMPLES])
    np.testing.assert_array_equal(last, np.concatenate([tail, tail, tail, np.zeros(30_000, dtype=np.float32)]))


def test_the_same_bytes_give_the_same_samples() -> None:
    data = _encode(_tone(44_100), 44_100, format="OGG")
    np.testing.assert_array_equal(decode_audio(data, _LIMITS).samples, decode_audio(data, _LIMITS).samples)


def test_what_libsndfile_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert libsndfile_formats() == (sf.__libsndfile_version__, ["WAV", "FLAC", "OGG", "MP3"])
    monkeypatch.setattr(sf, "available_formats", lambda: {"WAV": "", "OGG": "", "AIFF": ""})
    assert libsndfile_formats()[1] == ["WAV", "OGG"]
