"""From a recording of the table to takes: mono waveforms at 48 kHz, decoded, rendered or generated.

A file is one take. A `program:N` of a soundfont package is rendered by fluidsynth as several short pieces. A name of the
package `synth` is generated, each take with parameters of its own.
"""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32

from models.audio import SAMPLE_RATE_HZ, AudioLimits, decode_audio
from models.errors import AudioError, RecipeError
from models.training.bank import Recording
from models.training.synth import GENERATORS, synthesize

LIMITS = AudioLimits(max_duration_s=1_200.0, min_duration_s=0.01)
_KEEP_S = 30
"""Seconds kept of a long recording; scenes of 10 s are cut from them."""
_TICKS_PER_BEAT = 480
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))

Samples = Float32[np.ndarray, " _samples"]


def takes_of(recording: Recording, folder: Path, count: int, seed: int) -> list[Samples]:
    """Make the takes of a recording; `count` of them where it is a generator.

    Raises:
        RecipeError: the file is missing, unreadable or silent, or there is no such generator.
    """
    if recording.package == "synth":
        if recording.path not in GENERATORS:
            raise RecipeError(f"the package synth makes no {recording.path}")
        return [synthesize(recording.path, _rng(seed, recording, take)) for take in range(count)]
    if recording.path.startswith("program:"):
        program = int(recording.path.removeprefix("program:"))
        soundfont = find_soundfont(folder / recording.package)
        return [_checked(_render(soundfont, program, _rng(seed, recording, take)), recording) for take in range(count)]
    path = folder / recording.package / recording.path
    try:
        samples = decode_audio(path.read_bytes(), LIMITS).samples
    except (OSError, AudioError) as error:
        raise RecipeError(f"{recording.package}/{recording.path}: {error}") from error
    return [_checked(_without_silent_ends(samples)[: _KEEP_S * SAMPLE_RATE_HZ], recording)]


def find_soundfont(package: Path) -> Path:
    """The soundfont of an unpacked package.

    Raises:
        RecipeError: there is none.
    """
    found = sorted(path for path in package.rglob("*.sf[23]") if path.is_file() and not path.is_symlink())
    if not found:
        raise RecipeError(f"{package} holds no soundfont; run recipes/soundbank/fetch.sh")
    return found[0]


def _rng(seed: int, recording: Recording, take: int) -> np.random.Generator:
    words = f"{seed} {recording.split} {recording.package} {recording.path} {take}"
    return np.random.default_rng(list(words.encode()))


def _checked(samples: Samples, recording: Recording) -> Samples:
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    if peak < 1e-3:
        raise RecipeError(f"{recording.package}/{recording.path} is silent")
    return (samples / peak).astype(np.float32)


def _without_silent_ends(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > 1e-3 * max(1e-9, float(np.abs(samples).max())))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def _render(soundfont: Path, program: int, rng: np.random.Generator) -> Samples:
    """Render one random piece with fluidsynth.

    Raises:
        RecipeError: fluidsynth is not installed or fails.
    """
    with TemporaryDirectory() as temporary:
        midi, wav = Path(temporary) / "piece.mid", Path(temporary) / "piece.wav"
        midi.write_bytes(midi_file(program, rng))
        rate = str(SAMPLE_RATE_HZ)
        command = ["fluidsynth", "-q", "-ni", "-g", "0.6", "-r", rate, "-F", str(wav), str(soundfont), str(midi)]
        try:
            # The program's name and every argument are ours; only the file's content is not.
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            samples = decode_audio(wav.read_bytes(), LIMITS).samples
        except (OSError, subprocess.SubprocessError, AudioError) as error:
            raise RecipeError(f"fluidsynth cannot render program {program} of {soundfont.name}: {error}") from error
    return _without_silent_ends(samples)[: 12 * SAMPLE_RATE_HZ]


def midi_file(program: int, rng: np.random.Generator) -> bytes:
    """A standard MIDI file (type 0) of about ten seconds: a melody, chords, or both, in a random key, range and tempo."""
    events = sorted(_notes(rng))
    track = bytearray(b"\x00" + bytes([0xC0, program]))
    microseconds = int(60e6 / rng.uniform(70, 150))
    track += b"\x00\xff\x51\x03" + microseconds.to_bytes(3, "big")
    now = 0
    for tick, on, note, velocity in events:
        track += _variable_length(tick - now) + bytes([0x90 if on else 0x80, note, velocity])
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS_PER_BEAT)
    return header + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def _notes(rng: np.random.Generator) -> Iterator[tuple[int, bool, int, int]]:
    """Note events: tick, on or off, note, velocity."""
    scale, root = _SCALES[int(rng.integers(len(_SCALES)))], int(rng.integers(40, 73))
    style, degree, tick = int(rng.integers(3)), 0, 0
    beats = rng.choice([0.5, 1.0, 2.0])
    while tick < 18 * _TICKS_PER_BEAT:
        length = int(_TICKS_PER_BEAT * beats * rng.choice([0.5, 1, 1, 2]))
        degree = int(np.clip(degree + rng.integers(-3, 4), -5, 9))
        degrees = [degree] if style == 0 or (style == 2 and rng.random() < 0.6) else [degree, degree + 2, degree + 4]
        velocity = int(rng.integers(60, 120))
        for each in degrees:
            note = int(np.clip(root + 12 * (each // len(scale)) + scale[each % len(scale)], 24, 100))
            yield tick, True, note, velocity
            yield tick + int(length * 0.9), False, note, 0
        tick += length


def _variable_length(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))
