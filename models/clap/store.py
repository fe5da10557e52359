"""CLAP encoders on disk: a transformers directory, strict when it is read.

A `cnn_tower` in config.json says that the audio tower is `models.clap.cnn`; without it the directory is a plain
`ClapModel`, as released ones are.
"""

import copy
from pathlib import Path

import torch
from torch import nn
from transformers import ClapModel

from models.clap.cnn import CnnClapModel
from models.clap.encoder import ClapEncoder
from models.errors import ArtifactError
from models.pretrained import read_json, read_pretrained


def save_clap(encoder: ClapEncoder, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the encoder into `directory`, its weights as `dtype`."""
    directory.mkdir(parents=True, exist_ok=True)
    model = encoder.model
    if model.dtype != dtype:
        model = nn.Module.to(copy.deepcopy(model), dtype)
    model.save_pretrained(directory)
    encoder.tokenizer.save_pretrained(directory)


def load_clap(directory: Path, device: torch.device | str = "cpu") -> ClapEncoder:
    """Read an encoder for inference: float32, in evaluation mode, on `device`.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the others need.
    """
    content = read_json(directory / "config.json")
    if not isinstance(content, dict) or content.get("model_type") != "clap":
        raise ArtifactError(directory / "config.json", "is not the configuration of a CLAP model")
    model, tokenizer = read_pretrained(directory, CnnClapModel if "cnn_tower" in content else ClapModel)
    return ClapEncoder(model, tokenizer).to(device).eval().requires_grad_(False)
