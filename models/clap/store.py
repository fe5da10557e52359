"""CLAP encoders on disk: a transformers directory, strict when it is read.

A `cnn_tower` in config.json says that the audio tower is `models.clap.cnn`; without it the directory is a plain
`ClapModel`, as released ones are. No preprocessor_config.json is written, since `models.clap.log_mel` has no settings; one
that is there must agree with it.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import ClapModel

from models.audio import SAMPLE_RATE_HZ
from models.clap.cnn import CnnClapModel
from models.clap.encoder import ClapEncoder
from models.clap.log_mel import FFT_SAMPLES, HOP_SAMPLES, MAX_FREQUENCY_HZ, MIN_FREQUENCY_HZ, NUM_MELS
from models.errors import ArtifactError
from models.pretrained import read_json, read_pretrained

_PREPROCESSOR_FILE = "preprocessor_config.json"
_SPECTROGRAM = {
    "sampling_rate": SAMPLE_RATE_HZ,
    "fft_window_size": FFT_SAMPLES,
    "hop_length": HOP_SAMPLES,
    "feature_size": NUM_MELS,
    "frequency_min": MIN_FREQUENCY_HZ,
    "frequency_max": MAX_FREQUENCY_HZ,
}


def save_clap(encoder: ClapEncoder, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the encoder into `directory`, its weights as `dtype`."""
    directory.mkdir(parents=True, exist_ok=True)
    model = encoder.model
    if model.dtype != dtype:
        model = nn.Module.to(copy.deepcopy(model), dtype)
    model.save_pretrained(directory)
    encoder.tokenizer.save_pretrained(directory)


def load_clap(directory: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ClapEncoder:
    """Read an encoder for inference: in evaluation mode, on `device`, computing in `dtype` with float32 weights.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the others need.
    """
    content = read_config(directory)
    check_preprocessor(directory)
    model, tokenizer = read_pretrained(directory, clap_class(content))
    return ClapEncoder(model, tokenizer, dtype).to(device).eval().requires_grad_(False)


def read_config(directory: Path) -> dict[str, Any]:
    """Read config.json of an encoder.

    Raises:
        ArtifactError: it is missing, damaged, or of something else.
    """
    content = read_json(directory / "config.json")
    if not isinstance(content, dict) or content.get("model_type") != "clap":
        raise ArtifactError(directory / "config.json", "is not the configuration of a CLAP model")
    return content


def clap_class(config: Mapping[str, Any]) -> type[ClapModel]:
    """Say which class config.json describes."""
    return CnnClapModel if "cnn_tower" in config else ClapModel


def check_preprocessor(directory: Path) -> None:
    """Compare a preprocessor_config.json, where there is one, with the spectrograms that encoders are given here.

    Raises:
        ArtifactError: the encoder was trained on others.
    """
    path = directory / _PREPROCESSOR_FILE
    if not path.exists():
        return
    content = read_json(path)
    found = content if isinstance(content, dict) else {}
    for name, ours in _SPECTROGRAM.items():
        if found.get(name) != ours:
            raise ArtifactError(path, f"{name} is {found.get(name)!r}; spectrograms here have {ours}")
