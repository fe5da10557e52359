"""Bytes to waveforms to windows: the only decoder of this project, used by serving, training and evaluation alike.

Everything in a file that comes from outside is a lie until checked: headers are read for refusing, never for allocating.
Samples are decoded in blocks, mixed to mono and resampled block by block, so the limits hold while decoding and memory
is bounded by the longest clip allowed, whatever a header says. `WindowStream` gives the windows of a clip one at a time, so
that a service holds no more of a long clip than it is about to embed.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile as sf
import soxr
from jaxtyping import Float32

from models.errors import (
    AudioTooLongError,
    AudioTooShortError,
    DamagedAudioError,
    EmptyAudioError,
    UnreadableAudioError,
    UnsupportedAudioError,
)
from models.riff import repair_riff

SAMPLE_RATE_HZ = 48_000
"""CLAP's rate (Wu et al. 2023, arXiv 2211.06687)."""
WINDOW_S = 10
WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE_HZ
"""The one length that CLAP's audio tower is trained on; exactly as many samples, so that no random crop is ever reached."""
MIN_TAIL_S = 1.0
"""A remainder shorter than this, after a full window, is left out: repeated ten times and more, a sliver becomes a buzz."""
_MIN_TAIL_SAMPLES = int(MIN_TAIL_S * SAMPLE_RATE_HZ)

FORMATS = ("WAV", "FLAC", "OGG", "MP3")
"""What people may send."""
_LIBSNDFILE_FORMATS = {*FORMATS, "WAVEX", "RF64"}
"""As libsndfile names them: two more are WAV too."""
_MAGICS = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3")
"""First bytes of these formats, MP3 without tags aside; libsndfile's parsers of twenty others see no stranger's bytes."""
_BLOCK_FRAMES = 65_536
_UNKNOWN_FRAMES = 2**63 - 1
"""libsndfile's SF_COUNT_MAX: a FLAC that was streamed does not know its length."""
_MAX_LEVEL = 1e6
"""Float files may hold 3e38; far above full scale, this keeps the mean and the resampler from overflowing."""
_NO_SAMPLES: Float32[np.ndarray, " samples"] = np.zeros(0, dtype=np.float32)


def libsndfile_formats() -> tuple[str, list[str]]:
    """The version of libsndfile, and which of our formats it can read; MP3 came with 1.1."""
    return sf.__libsndfile_version__, [name for name in FORMATS if name in sf.available_formats()]


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """What a clip may be; checked against decoded samples, not only against headers."""

    max_duration_s: float = 600.0
    min_duration_s: float = 0.05
    min_sample_rate_hz: int = 4_000
    max_sample_rate_hz: int = 192_000
    max_channels: int = 8


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono samples in [-1, 1] at `SAMPLE_RATE_HZ`."""

    samples: Float32[np.ndarray, " samples"]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


def decode_audio(data: bytes, limits: AudioLimits) -> Waveform:
    """Decode a WAV, FLAC, OGG or MP3 file to 48 kHz mono.

    Channels are averaged, the rate is changed with soxr HQ, and samples are clipped to [-1, 1] as LAION-CLAP's int16
    path does.

    Raises:
        AudioError: the subclass says what is wrong with the file.
    """
    return Waveform(np.concatenate([_NO_SAMPLES, *_decode_parts(data, limits)]))


def cut_windows(waveform: Waveform) -> Float32[np.ndarray, "windows samples"]:
    """Cut a clip into windows of `WINDOW_SAMPLES`, in order, the last one repeat-padded.

    Repeat-padding is transformers' and LAION's "repeatpad": as many whole repeats as fit, then zeros. A remainder
    shorter than `MIN_TAIL_S` after a full window is left out.
    """
    samples = waveform.samples
    count = max(1, math.ceil(len(samples) / WINDOW_SAMPLES))
    if count > 1 and len(samples) - (count - 1) * WINDOW_SAMPLES < _MIN_TAIL_SAMPLES:
        count -= 1
    return np.stack([_padded(samples[i * WINDOW_SAMPLES : (i + 1) * WINDOW_SAMPLES]) for i in range(count)])


def window_spans_s(duration_s: float, count: int) -> list[tuple[float, float]]:
    """Start and end in seconds of each of a clip's `count` windows, as `cut_windows` cuts them."""
    return [(float(i * WINDOW_S), min(float((i + 1) * WINDOW_S), duration_s)) for i in range(count)]


class WindowStream:
    """The windows of `cut_windows(decode_audio(data, limits))`, decoded as they are asked for.

    What is wrong with a file may be found after some of its windows were given. Not for several threads at once.
    """

    def __init__(self, data: bytes, limits: AudioLimits) -> None:
        """Decode nothing yet."""
        self._parts = _decode_parts(data, limits)
        self._held: Float32[np.ndarray, " samples"] = _NO_SAMPLES
        self._samples_read = 0
        self.ended = False
        """Whether the window given last was the last one."""

    @property
    def duration_s(self) -> float:
        """Seconds decoded so far; once `ended`, those of the clip."""
        return self._samples_read / SAMPLE_RATE_HZ

    def take(self) -> Float32[np.ndarray, " samples"]:
        """Decode and give the next window.

        Raises:
            AudioError: the subclass says what is wrong with the file.
        """
        parts, held = [self._held], len(self._held)
        # One that is followed by less than the shortest tail is the last one.
        while held < WINDOW_SAMPLES + _MIN_TAIL_SAMPLES and (part := next(self._parts, None)) is not None:
            parts.append(part)
            held += len(part)
            self._samples_read += len(part)
        samples = np.concatenate(parts)
        self._held = samples[WINDOW_SAMPLES:].copy()
        self.ended = len(self._held) < _MIN_TAIL_SAMPLES
        return _padded(samples[:WINDOW_SAMPLES])


def _padded(samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, " window"]:
    # Written in one pass: the pages of a second array of two megabytes cost more than decoding a short clip.
    window = np.empty(WINDOW_SAMPLES, dtype=np.float32)
    repeats = WINDOW_SAMPLES // len(samples)
    end = repeats * len(samples)
    window[:end].reshape(repeats, len(samples))[:] = samples
    window[end:] = 0.0
    return window


def _decode_parts(data: bytes, limits: AudioLimits) -> Iterator[Float32[np.ndarray, " samples"]]:
    if not data:
        raise EmptyAudioError("the file is empty")
    if not data.startswith(_MAGICS) and not _is_mpeg_frame(data):
        raise UnreadableAudioError("not a WAV, FLAC, OGG or MP3 file")
    with _open(repair_riff(data)) as file:
        _check_header(file, limits)
        for part in _resample(_mono_blocks(file, limits), file.samplerate):
            yield np.clip(part, -1.0, 1.0)


def _is_mpeg_frame(data: bytes) -> bool:
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0


def _open(data: bytes) -> sf.SoundFile:
    try:
        file = sf.SoundFile(io.BytesIO(data))
    except sf.LibsndfileError as error:
        raise UnreadableAudioError(f"not a readable WAV, FLAC, OGG or MP3 file ({error.error_string})") from error
    # soundfile seeks after every block of a seekable file, which fails in a FLAC that does not know its length, and
    # reads no further than the count of frames, which is an estimate in MP3.
    file.seekable = lambda: False
    return file


def _check_header(file: sf.SoundFile, limits: AudioLimits) -> None:
    if file.format not in _LIBSNDFILE_FORMATS:
        raise UnreadableAudioError(f"{file.format} files are not supported; send WAV, FLAC, OGG or MP3")
    rate, channels = file.samplerate, file.channels
    if not limits.min_sample_rate_hz <= rate <= limits.max_sample_rate_hz:
        bounds = f"{limits.min_sample_rate_hz} to {limits.max_sample_rate_hz} Hz"
        raise UnsupportedAudioError(f"a sample rate of {rate} Hz is not supported ({bounds})")
    if channels > limits.max_channels:
        raise UnsupportedAudioError(f"{channels} channels are not supported (at most {limits.max_channels})")


def _mono_blocks(file: sf.SoundFile, limits: AudioLimits) -> Iterator[Float32[np.ndarray, " frames"]]:
    frames = 0
    while len(block := _read_block(file)):
        frames += len(block)
        if frames > limits.max_duration_s * file.samplerate:
            raise AudioTooLongError(f"the clip is longer than {limits.max_duration_s:g} s")
        if not np.isfinite(block).all():
            raise DamagedAudioError("the file holds samples that are not finite numbers (NaN or infinity)")
        yield np.clip(block, -_MAX_LEVEL, _MAX_LEVEL).mean(axis=1, dtype=np.float32)
    # FLAC headers promise a frame count; OGG and MP3 counts are estimates, and WAV is checked by its chunk sizes.
    if file.format == "FLAC" and frames < file.frames != _UNKNOWN_FRAMES:
        raise DamagedAudioError(f"the header promises {file.frames} frames, the file holds {frames}")
    if frames == 0:
        raise EmptyAudioError("the file holds no samples")
    if frames < limits.min_duration_s * file.samplerate:
        duration_ms = 1_000 * frames / file.samplerate
        raise AudioTooShortError(f"the clip lasts {duration_ms:.3g} ms; the least is {1_000 * limits.min_duration_s:g} ms")


def _read_block(file: sf.SoundFile) -> Float32[np.ndarray, "frames channels"]:
    try:
        block: Float32[np.ndarray, "frames channels"] = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise DamagedAudioError(f"the file is damaged or cut short ({error.error_string})") from error
    return block


def _resample(blocks: Iterator[Float32[np.ndarray, " frames"]], rate_hz: int) -> Iterator[Float32[np.ndarray, " samples"]]:
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, num_channels=1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(_NO_SAMPLES, last=True)
