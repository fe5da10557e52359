"""What a WAV file says of itself, checked before libsndfile sees it.

libsndfile forgives a header that promises more data than there is; here such a file is refused by name. Sizes are
clamped to real bytes at every step, so a lying chunk can neither be followed outside the file nor loop.
"""

import struct
from collections.abc import Iterator

from models.errors import DamagedAudioError, UnreadableAudioError, UnsupportedAudioError

_UNKNOWN_SIZE = 0xFFFFFFFF
"""What streaming writers (ffmpeg to a pipe) put where the length is not known yet: the data then runs to the end."""
_FORMAT_TAGS = {0x0001, 0x0002, 0x0003, 0x0006, 0x0007, 0x0011, 0xFFFE}
"""PCM, MS ADPCM, float, A-law, mu-law, IMA ADPCM, extensible."""
_ADPCM_TAGS = {0x0002, 0x0011}
_MAX_ADPCM_BLOCK_BYTES = 8_192
"""Real encoders write 256 to 4,096; libsndfile multiplies this field (CVE-2026-37555)."""


def check_riff(data: bytes) -> None:
    """Refuse a RIFF file whose chunks contradict each other or its length; other formats pass.

    Raises:
        DamagedAudioError: a chunk promises more bytes than the file holds, or a field cannot be.
        UnreadableAudioError: RIFF, but not a WAV file.
        UnsupportedAudioError: a codec that is not accepted.
    """
    if data[:4] != b"RIFF":
        return
    if len(data) < 12 or data[8:12] != b"WAVE":
        raise UnreadableAudioError("a RIFF file, but not a WAV file")
    seen_format = False
    for name, start, size in _chunks(data):
        if name == b"fmt ":
            _check_format(data[start : start + size])
            seen_format = True
        elif name == b"data":
            if not seen_format:
                raise DamagedAudioError("the WAV header has no format chunk before its data")
            if size != _UNKNOWN_SIZE and start + size > len(data):
                raise DamagedAudioError(f"the header promises {size} bytes of audio, the file holds {len(data) - start}")
            return
    raise DamagedAudioError("the WAV file has no data chunk")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    offset = 12
    while offset + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        yield name, offset + 8, size
        offset += 8 + size + size % 2


def _check_format(chunk: bytes) -> None:
    if len(chunk) < 16:
        raise DamagedAudioError("the WAV format chunk is cut short")
    tag, channels, rate_hz, _, block_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag not in _FORMAT_TAGS:
        raise UnsupportedAudioError(f"WAV codec 0x{tag:04x} is not supported; send PCM or float")
    if rate_hz == 0:
        raise UnsupportedAudioError("a sample rate of 0 Hz is not supported")
    if channels == 0:
        raise DamagedAudioError("the WAV header says that there are 0 channels")
    if tag in _ADPCM_TAGS and not 0 < block_bytes <= _MAX_ADPCM_BLOCK_BYTES:
        raise DamagedAudioError(f"an ADPCM block of {block_bytes} bytes cannot be")
    if tag not in _ADPCM_TAGS and bits == 0:
        raise DamagedAudioError("the WAV header says that a sample has 0 bits")
