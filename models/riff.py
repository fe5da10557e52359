"""What a WAV file says of itself, checked before libsndfile sees it.

libsndfile forgives a header that promises more data than there is; here such a file is refused by name. Sizes are
clamped to real bytes at every step, so a lying chunk can neither be followed outside the file nor loop. Lengths that
streaming writers never came back to fill in are filled in.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import DamagedAudioError, UnreadableAudioError, UnsupportedAudioError

_UNKNOWN_SIZE = 0xFFFFFFFF
"""What ffmpeg writes to a pipe, where the length is not known yet; in RF64 it says that chunk ds64 has the length."""
_SOX_SIZE = 0x7FFFF000
"""What SoX writes to a pipe, rounded down to whole frames."""
_ORDERS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
"""Byte order of each kind of WAV file."""
_FORMAT_TAGS = {0x0001, 0x0002, 0x0003, 0x0006, 0x0007, 0x0011, 0xFFFE}
"""PCM, MS ADPCM, float, A-law, mu-law, IMA ADPCM, extensible."""
_ADPCM_TAGS = {0x0002, 0x0011}
_MAX_ADPCM_BLOCK_BYTES = 8_192
"""Real encoders write 256 to 4,096; libsndfile multiplies this field (CVE-2026-37555)."""
_MAX_RATE_HZ = 2**31 - 1
"""Beyond it libsndfile reads a negative number."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    start: int
    """Of the content, in bytes from the file's start."""
    size: int
    """As promised, which may be more than there is."""


def repair_riff(data: bytes) -> bytes:
    """Refuse a WAV file whose chunks contradict each other or its length; other formats pass as they are.

    Where a streaming writer left the length of the samples open, they run to the end of the file, and the bytes given
    back say so.

    Raises:
        DamagedAudioError: a chunk promises more bytes than the file holds, or a field cannot be.
        UnreadableAudioError: RIFF, but not a WAV file.
        UnsupportedAudioError: a codec that is not accepted.
    """
    order = _ORDERS.get(data[:4])
    if order is None:
        return data
    if len(data) < 12 or data[8:12] != b"WAVE":
        raise UnreadableAudioError("a RIFF file, but not a WAV file")
    frame_bytes, long_size = 0, None
    for chunk in _chunks(data, order):
        content = data[chunk.start : chunk.start + min(chunk.size, 64)]
        if chunk.name == b"fmt ":
            frame_bytes = _check_format(content, order)
        elif chunk.name == b"ds64" and len(content) >= 16:
            (long_size,) = struct.unpack_from("<Q", content, 8)
        elif chunk.name == b"data":
            if not frame_bytes:
                raise DamagedAudioError("the WAV header has no format chunk before its data")
            return _with_length(data, chunk, order, frame_bytes, long_size)
    raise DamagedAudioError("the WAV file has no data chunk")


def _with_length(data: bytes, chunk: _Chunk, order: str, frame_bytes: int, long_size: int | None) -> bytes:
    held = len(data) - chunk.start
    if chunk.size == _UNKNOWN_SIZE and long_size is not None:
        if long_size > held:
            raise DamagedAudioError(f"the header promises {long_size} bytes of audio, the file holds {held}")
        return data
    if not _is_open(data, chunk, order, frame_bytes):
        if chunk.size > held:
            raise DamagedAudioError(f"the header promises {chunk.size} bytes of audio, the file holds {held}")
        return data
    return data[: chunk.start - 4] + struct.pack(f"{order}I", held) + data[chunk.start :]


def _is_open(data: bytes, chunk: _Chunk, order: str, frame_bytes: int) -> bool:
    """Whether a streaming writer left the length of the samples open."""
    if chunk.size == 0:
        # GStreamer and browsers leave 0. It is meant so only if the header as a whole accounts for what follows.
        (file_size,) = struct.unpack_from(f"{order}I", data, 4)
        return not chunk.start <= len(data) <= file_size + 8 < _UNKNOWN_SIZE
    return chunk.size == _UNKNOWN_SIZE or 0 <= _SOX_SIZE - chunk.size < frame_bytes


def _chunks(data: bytes, order: str) -> Iterator[_Chunk]:
    offset = 12
    while offset + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, offset)
        yield _Chunk(name, offset + 8, size)
        offset += 8 + size + size % 2


def _check_format(chunk: bytes, order: str) -> int:
    """Check the format chunk, and give the bytes of one frame, or of one block of ADPCM."""
    if len(chunk) < 16:
        raise DamagedAudioError("the WAV format chunk is cut short")
    tag, channels, rate_hz, _, block_bytes, bits = struct.unpack_from(f"{order}HHIIHH", chunk)
    if tag not in _FORMAT_TAGS:
        raise UnsupportedAudioError(f"WAV codec 0x{tag:04x} is not supported; send PCM or float")
    if not 0 < rate_hz <= _MAX_RATE_HZ:
        raise UnsupportedAudioError(f"a sample rate of {rate_hz} Hz is not supported")
    if channels == 0:
        raise DamagedAudioError("the WAV header says that there are 0 channels")
    if tag in _ADPCM_TAGS and not 0 < block_bytes <= _MAX_ADPCM_BLOCK_BYTES:
        raise DamagedAudioError(f"an ADPCM block of {block_bytes} bytes cannot be")
    if tag not in _ADPCM_TAGS and bits == 0:
        raise DamagedAudioError("the WAV header says that a sample has 0 bits")
    return max(1, int(block_bytes))
