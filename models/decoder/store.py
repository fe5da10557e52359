"""Caption decoders on disk: config.json, projector.safetensors, and language_model/ as transformers writes it.

Loading is strict: what is missing, damaged, unknown, misshapen or not finite is refused with the file's name and the
reason. Half precision on disk is read back as float32.
"""

import copy
import json
from pathlib import Path

import torch
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from torch import nn
from transformers import AutoModelForCausalLM

from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.errors import ArtifactError
from models.pretrained import read_pretrained
from models.weights import read_weights, write_weights

_CONFIG_FILE = "config.json"
_PROJECTOR_FILE = "projector.safetensors"
_LANGUAGE_MODEL_DIRECTORY = "language_model"


def save_decoder(decoder: CaptionDecoder, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the decoder into `directory`: trained weights as `dtype`, the embedding statistics as float32."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(decoder.config.model_dump(mode="json"), indent=2)
    (directory / _CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    write_weights(decoder.projector, directory / _PROJECTOR_FILE, dtype)
    model = decoder.language_model
    if model.dtype != dtype:
        model = nn.Module.to(copy.deepcopy(model), dtype)
    model.save_pretrained(directory / _LANGUAGE_MODEL_DIRECTORY)
    decoder.tokenizer.save_pretrained(directory / _LANGUAGE_MODEL_DIRECTORY)


def load_decoder(directory: Path, device: torch.device | str = "cpu") -> CaptionDecoder:
    """Read a decoder for inference: float32, in evaluation mode, on `device`.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the others need.
    """
    config = _read_config(directory / _CONFIG_FILE)
    model, tokenizer = read_pretrained(directory / _LANGUAGE_MODEL_DIRECTORY, AutoModelForCausalLM)
    try:
        decoder = CaptionDecoder(config, model, tokenizer)
    except ValueError as error:
        raise ArtifactError(directory / _LANGUAGE_MODEL_DIRECTORY, str(error)) from error
    read_weights(decoder.projector, directory / _PROJECTOR_FILE)
    return decoder.to(device).eval().requires_grad_(False)


def _read_config(path: Path) -> DecoderConfig:
    try:
        content = path.read_bytes()
        config = DecoderConfig.model_validate_json(content)
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ArtifactError(path, "; ".join(_describe(fault) for fault in error.errors(include_url=False))) from error
    # Defaults serve recipes. On disk all settings are spelled out: a later default must not change a stored decoder.
    if json.loads(content) != config.model_dump(mode="json"):
        raise ArtifactError(path, "leaves settings to their defaults")
    return config


def _describe(fault: ErrorDetails) -> str:
    return f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
