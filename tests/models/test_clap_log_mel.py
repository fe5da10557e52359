"""Log-mel spectrograms: transformers' numbers, whatever the company."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ClapFeatureExtractor

from models.audio import SAMPLE_RATE_HZ, WINDOW_SAMPLES, AudioLimits, cut_windows, decode_audio
from models.clap.log_mel import MAX_FREQUENCY_HZ, MIN_FREQUENCY_HZ, NUM_FRAMES, NUM_MELS, LogMel

_EXAMPLES = Path(__file__).parents[2] / "examples"
_RECORDINGS = sorted(path for path in _EXAMPLES.iterdir() if path.suffix in {".flac", ".mp3", ".ogg", ".wav"})


def _signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time_s = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE_HZ
    noise = (0.1 * rng.standard_normal(WINDOW_SAMPLES)).astype(np.float32)
    spectrum = np.fft.rfft(noise)
    spectrum[40_000:] = 0  # nothing above 4 kHz, as in a file of 8 kHz
    return {
        "noise": noise,
        "band-limited": np.fft.irfft(spectrum).astype(np.float32),
        "silence": np.zeros(WINDOW_SAMPLES, dtype=np.float32),
        "half silence": np.where(time_s < 5, noise, 0).astype(np.float32),
        "loud tone": np.sin(2 * np.pi * 440 * time_s).astype(np.float32),
        "full-scale square": np.sign(np.sin(2 * np.pi * 100 * time_s)).astype(np.float32),
    }


@pytest.mark.parametrize("name", _signals())
@pytest.mark.parametrize(("mel_scale", "truncation"), [("slaney", "rand_trunc"), ("htk", "fusion")])
def test_it_equals_transformers_feature_extractor(name: str, mel_scale: Any, truncation: str) -> None:
    signal = _signals()[name]
    extractor = ClapFeatureExtractor(frequency_min=MIN_FREQUENCY_HZ, frequency_max=MAX_FREQUENCY_HZ)
    expected = extractor(signal, sampling_rate=SAMPLE_RATE_HZ, truncation=truncation, return_tensors="np")
    actual = LogMel(mel_scale)(torch.from_numpy(signal).unsqueeze(0))
    assert actual.shape == (1, NUM_FRAMES, NUM_MELS)
    assert float(np.abs(actual.numpy()[0] - expected["input_features"][0, 0]).max()) < 1e-3


@pytest.mark.parametrize("path", _RECORDINGS, ids=[path.name for path in _RECORDINGS])
def test_it_equals_transformers_feature_extractor_on_real_recordings(path: Path) -> None:
    windows = cut_windows(decode_audio(path.read_bytes(), AudioLimits()))
    extractor = ClapFeatureExtractor(frequency_min=MIN_FREQUENCY_HZ, frequency_max=MAX_FREQUENCY_HZ)
    expected = extractor(list(windows), sampling_rate=SAMPLE_RATE_HZ, truncation="rand_trunc", return_tensors="np")
    actual = LogMel()(torch.from_numpy(windows)).numpy()
    assert float(np.abs(actual - expected["input_features"][:, 0]).max()) < 1e-3


def test_a_batch_changes_nothing() -> None:
    windows = torch.from_numpy(np.stack(list(_signals().values())))
    log_mel = LogMel()
    together = log_mel(windows)
    assert torch.equal(together, torch.cat([log_mel(window.unsqueeze(0)) for window in windows]))


def test_it_holds_nothing_that_apples_gpus_cannot_hold() -> None:
    assert {buffer.dtype for buffer in LogMel().buffers()} == {torch.float32}
