"""Headers of WAV files: what contradicts itself is refused by name, what a streaming writer left open is filled in."""

import struct

import pytest

from models.errors import AudioError, DamagedAudioError, UnreadableAudioError, UnsupportedAudioError
from models.riff import repair_riff

_SAMPLES = bytes(range(200))
_PCM = 0x0001


def _format(
    *, tag: int = _PCM, channels: int = 1, rate_hz: int = 48_000, block: int = 2, bits: int = 16, order: str = "<"
) -> bytes:
    return struct.pack(f"{order}HHIIHH", tag, channels, rate_hz, rate_hz * block, block, bits)


def _chunk(name: bytes, content: bytes, size: int | None = None, order: str = "<") -> bytes:
    header = struct.pack(f"{order}4sI", name, len(content) if size is None else size)
    return header + content + b"\0" * (len(content) % 2)


def _wav(*chunks: bytes, kind: bytes = b"RIFF", size: int | None = None, order: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack(f"{order}I", len(body) if size is None else size) + body


def _with_data_size(size: int, *, riff_size: int | None = None, block: int = 2) -> bytes:
    return _wav(_chunk(b"fmt ", _format(block=block)), _chunk(b"data", _SAMPLES, size), size=riff_size)


@pytest.mark.parametrize(
    "data",
    [
        _wav(_chunk(b"fmt ", _format()), _chunk(b"data", _SAMPLES)),
        _wav(_chunk(b"LIST", b"INFOx"), _chunk(b"fmt ", _format()), _chunk(b"odd", b"x"), _chunk(b"data", _SAMPLES)),
        _wav(_chunk(b"fmt ", _format()), _chunk(b"data", _SAMPLES), _chunk(b"LIST", b"INFO")),
        _wav(_chunk(b"fmt ", _format()), _chunk(b"data", _SAMPLES)) + b"rubbish",
        _wav(_chunk(b"fmt ", _format()), _chunk(b"data", _SAMPLES[:99]))[:-1],
        _wav(_chunk(b"fmt ", _format(order=">"), order=">"), _chunk(b"data", _SAMPLES, order=">"), kind=b"RIFX", order=">"),
        _wav(_chunk(b"fmt ", _format(tag=0x0002, block=1024, bits=4)), _chunk(b"data", _SAMPLES)),
        _wav(_chunk(b"fmt ", _format()), _chunk(b"data", b"")),
        _wav(_chunk(b"fmt ", _format()), _chunk(b"data", b""), _chunk(b"LIST", b"INFO")),
        b"",
        b"RIF",
        b"fLaC" + _SAMPLES,
        b"hello",
    ],
)
def test_what_holds_together_passes_unchanged(data: bytes) -> None:
    assert repair_riff(data) is data


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0])
@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFFFFFF])
def test_a_length_that_a_streaming_writer_left_open_is_filled_in(size: int, riff_size: int) -> None:
    repaired = repair_riff(_with_data_size(size, riff_size=riff_size))
    assert repaired == _with_data_size(len(_SAMPLES), riff_size=riff_size)


def test_sox_rounds_its_open_length_down_to_frames() -> None:
    size = 0x7FFFF000 // 6 * 6
    assert size != 0x7FFFF000
    assert repair_riff(_with_data_size(size, block=6)) == _with_data_size(len(_SAMPLES), block=6)
    with pytest.raises(DamagedAudioError, match=f"promises {size} bytes"):
        repair_riff(_with_data_size(size, block=2))


@pytest.mark.parametrize("size", [len(_SAMPLES) + 1, 2**31 - 1, 2**31, 0xFFFFFFFE])
def test_a_promise_that_is_not_kept_is_refused(size: int) -> None:
    with pytest.raises(DamagedAudioError, match=f"promises {size} bytes of audio, the file holds {len(_SAMPLES)}"):
        repair_riff(_with_data_size(size))


@pytest.mark.parametrize("keep", range(12, 44 + len(_SAMPLES)))
def test_a_file_cut_anywhere_is_refused(keep: int) -> None:
    whole = _wav(_chunk(b"fmt ", _format()), _chunk(b"data", _SAMPLES))
    with pytest.raises(DamagedAudioError):
        repair_riff(whole[:keep])


def _rf64(long_size: int) -> bytes:
    ds64 = _chunk(b"ds64", struct.pack("<QQQI", 0, long_size, 0, 0))
    return _wav(ds64, _chunk(b"fmt ", _format()), _chunk(b"data", _SAMPLES, 0xFFFFFFFF), kind=b"RF64", size=0xFFFFFFFF)


def test_rf64_has_its_length_elsewhere() -> None:
    data = _rf64(len(_SAMPLES))
    assert repair_riff(data) is data
    with pytest.raises(DamagedAudioError, match=f"promises {2**40} bytes of audio, the file holds {len(_SAMPLES)}"):
        repair_riff(_rf64(2**40))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"rate_hz": 0}, UnsupportedAudioError, "a sample rate of 0 Hz"),
        ({"rate_hz": 2**32 - 1, "block": 0}, UnsupportedAudioError, "a sample rate of 4294967295 Hz"),
        ({"channels": 0}, DamagedAudioError, "0 channels"),
        ({"bits": 0}, DamagedAudioError, "0 bits"),
        ({"tag": 0x0055}, UnsupportedAudioError, "codec 0x0055 is not supported"),
        ({"tag": 0x0002, "block": 0}, DamagedAudioError, "ADPCM block of 0 bytes"),
        ({"tag": 0x0011, "block": 65_535}, DamagedAudioError, "ADPCM block of 65535 bytes"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_format_that_cannot_be_is_refused(
    changes: dict[str, int], error: type[AudioError], reason: str, order: str
) -> None:
    changes = {"rate_hz": 8_000, **changes}
    content = struct.pack(
        f"{order}HHIIHH",
        changes.get("tag", _PCM),
        changes.get("channels", 1),
        changes["rate_hz"],
        0,
        changes.get("block", 2),
        changes.get("bits", 16),
    )
    kind = b"RIFF" if order == "<" else b"RIFX"
    chunks = _chunk(b"fmt ", content, order=order), _chunk(b"data", _SAMPLES, order=order)
    with pytest.raises(error, match=reason):
        repair_riff(_wav(*chunks, kind=kind, order=order))


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (_wav(_chunk(b"data", _SAMPLES), _chunk(b"fmt ", _format())), DamagedAudioError, "no format chunk before"),
        (_wav(_chunk(b"fmt ", _format()[:10]), _chunk(b"data", _SAMPLES)), DamagedAudioError, "format chunk is cut short"),
        (_wav(_chunk(b"fmt ", _format())), DamagedAudioError, "no data chunk"),
        (_wav(_chunk(b"LIST", b"", 0xFFFFFFFF), _chunk(b"fmt ", _format())), DamagedAudioError, "no data chunk"),
        (b"RIFF" + _SAMPLES, UnreadableAudioError, "not a WAV file"),
        (b"RIFF\0\0\0\0AVI ", UnreadableAudioError, "not a WAV file"),
        (b"RIFF", UnreadableAudioError, "not a WAV file"),
    ],
)
def test_chunks_that_make_no_wav_are_refused(data: bytes, error: type[AudioError], reason: str) -> None:
    with pytest.raises(error, match=reason):
        repair_riff(data)
