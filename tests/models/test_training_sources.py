"""From a row of the table to takes: decoded, rendered or generated."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from models.audio import SAMPLE_RATE_HZ
from models.errors import RecipeError
from models.training.bank import Recording
from models.training.sources import find_soundfont, midi_file, takes_of


def _recording(package: str, path: str) -> Recording:
    return Recording(sound="dog", split="train", package=package, path=path)


def _write(folder: Path, samples: np.ndarray, rate_hz: int = 24_000) -> Recording:
    (folder / "package").mkdir(exist_ok=True)
    sf.write(folder / "package" / "dog.wav", samples, rate_hz)
    return _recording("package", "dog.wav")


def test_a_file_becomes_one_take_at_full_scale_without_its_silent_ends(tmp_path: Path) -> None:
    silence, bark = np.zeros(12_000), 0.2 * np.sin(np.arange(12_000) / 5)
    (take,) = takes_of(_write(tmp_path, np.concatenate([silence, bark, silence])), tmp_path, 3, 0)
    assert take.dtype == np.float32
    assert len(take) == pytest.approx(24_000, rel=0.02)
    assert np.abs(take).max() == pytest.approx(1)


def test_a_long_recording_is_kept_to_half_a_minute(tmp_path: Path) -> None:
    (take,) = takes_of(_write(tmp_path, np.sin(np.arange(40 * 8_000)), 8_000), tmp_path, 1, 0)
    assert len(take) == 30 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("samples", [np.zeros(9_000), np.zeros(0), np.full(9_000, 1e-4)])
def test_a_silent_recording_is_refused_by_name(tmp_path: Path, samples: np.ndarray) -> None:
    recording = _write(tmp_path, samples)
    with pytest.raises(RecipeError, match=r"package/dog\.wav"):
        takes_of(recording, tmp_path, 1, 0)


def test_a_missing_file_and_an_unknown_generator_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"package/gone\.ogg"):
        takes_of(_recording("package", "gone.ogg"), tmp_path, 1, 0)
    with pytest.raises(RecipeError, match="piccolo"):
        takes_of(_recording("synth", "piccolo"), tmp_path, 1, 0)


def test_a_generator_makes_as_many_takes_as_asked_for_each_its_own(tmp_path: Path) -> None:
    takes = takes_of(_recording("synth", "beep"), tmp_path, 3, 1)
    again = takes_of(_recording("synth", "beep"), tmp_path, 2, 1)
    assert len({take.tobytes() for take in takes}) == 3
    assert [take.tobytes() for take in again] == [take.tobytes() for take in takes[:2]]


def test_a_midi_file_is_whole_and_plays_the_program_it_was_asked_for() -> None:
    files = [midi_file(73, np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(files)) == 20
    for content in files:
        assert content.startswith(b"MThd")
        assert content[14:18] == b"MTrk"
        assert int.from_bytes(content[18:22], "big") == len(content) - 22
        assert bytes([0xC0, 73]) in content
        assert content.endswith(b"\xff\x2f\x00")
        assert content.count(b"\x90") > 4


def test_a_program_is_rendered_through_the_soundfont_of_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "font" / "usr").mkdir(parents=True)
    (tmp_path / "font" / "usr" / "general.sf2").touch()
    commands = []

    def render(command: list[str], **settings: Any) -> None:
        commands.append(command)
        sf.write(command[command.index("-F") + 1], 0.5 * np.sin(np.arange(15 * 48_000) / 9), 48_000)

    monkeypatch.setattr(subprocess, "run", render)
    takes = takes_of(_recording("font", "program:73"), tmp_path, 2, 0)
    assert [len(take) for take in takes] == [12 * SAMPLE_RATE_HZ] * 2
    assert all(str(tmp_path / "font" / "usr" / "general.sf2") in command for command in commands)


def test_a_renderer_that_is_missing_or_fails_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "font").mkdir()
    (tmp_path / "font" / "general.sf3").touch()
    for error in (FileNotFoundError("fluidsynth"), subprocess.CalledProcessError(1, "fluidsynth")):

        def fail(*arguments: Any, error: Exception = error, **settings: Any) -> None:
            raise error

        monkeypatch.setattr(subprocess, "run", fail)
        with pytest.raises(RecipeError, match="fluidsynth cannot render program 5"):
            takes_of(_recording("font", "program:5"), tmp_path, 1, 0)


def test_a_package_without_a_soundfont_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"fetch\.sh"):
        find_soundfont(tmp_path)
