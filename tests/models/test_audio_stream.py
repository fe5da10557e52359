"""WindowStream: the windows of a clip one at a time, the same as those that are cut from the whole of it."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from models.audio import WINDOW_SAMPLES, AudioLimits, WindowStream, cut_windows, decode_audio
from models.errors import AudioTooLongError, AudioTooShortError, DamagedAudioError, EmptyAudioError, UnreadableAudioError

_LIMITS = AudioLimits(max_duration_s=60.0)


def _file(samples: int, rate_hz: int = 48_000, **settings: Any) -> bytes:
    noise = np.random.default_rng(samples).uniform(-0.9, 0.9, (samples, 2))
    file = io.BytesIO()
    sf.write(file, noise, rate_hz, **{"format": "WAV", **settings})
    return file.getvalue()


def _taken(stream: WindowStream) -> Iterator[np.ndarray]:
    while not stream.ended:
        yield stream.take()


@pytest.mark.parametrize(
    "samples",
    [
        4_800,
        WINDOW_SAMPLES - 1,
        WINDOW_SAMPLES,
        WINDOW_SAMPLES + 1,
        WINDOW_SAMPLES + 47_999,
        WINDOW_SAMPLES + 48_000,
        2 * WINDOW_SAMPLES,
        3 * WINDOW_SAMPLES + 47_999,
        3 * WINDOW_SAMPLES + 100_000,
    ],
)
def test_the_windows_are_those_of_the_whole_clip(samples: int) -> None:
    data = _file(samples)
    waveform, stream = decode_audio(data, _LIMITS), WindowStream(data, _LIMITS)
    np.testing.assert_array_equal(np.stack(list(_taken(stream))), cut_windows(waveform))
    assert stream.duration_s == waveform.duration_s == samples / 48_000


@pytest.mark.parametrize(
    "settings", [{"format": "FLAC"}, {"format": "OGG"}, {"format": "MP3"}, {"format": "WAV", "subtype": "FLOAT"}]
)
def test_the_same_with_another_rate_and_format(settings: dict[str, str]) -> None:
    data = _file(25 * 44_100, 44_100, **settings)
    waveform, stream = decode_audio(data, _LIMITS), WindowStream(data, _LIMITS)
    np.testing.assert_array_equal(np.stack(list(_taken(stream))), cut_windows(waveform))
    assert stream.duration_s == waveform.duration_s


def test_no_more_is_decoded_than_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, read = 0, sf.SoundFile.read

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal frames
        block = read(*arguments, **settings)
        frames += len(block)
        return block

    monkeypatch.setattr(sf.SoundFile, "read", counted)
    stream = WindowStream(_file(5 * WINDOW_SAMPLES), _LIMITS)
    assert frames == 0
    stream.take()
    assert not stream.ended
    assert WINDOW_SAMPLES < frames < 1.3 * WINDOW_SAMPLES


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyAudioError),
        (b"not a sound", UnreadableAudioError),
        (_file(10), AudioTooShortError),
        (_file(WINDOW_SAMPLES)[:-100_000], DamagedAudioError),
    ],
)
def test_a_bad_file(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        WindowStream(data, _LIMITS).take()


def test_a_clip_that_is_too_long_fails_on_the_way() -> None:
    stream = WindowStream(_file(70 * 8_000, 8_000), _LIMITS)
    taken: list[np.ndarray] = []
    with pytest.raises(AudioTooLongError):
        taken.extend(_taken(stream))
    assert 0 < len(taken) <= 6
