"""Caption decoders on disk: config.json, projector.safetensors, and language_model/ as transformers writes it.

Loading is strict: what is missing, damaged, unknown, misshapen or not finite is refused with the file's name and the
reason. Half precision on disk is read back as float32.
"""

import copy
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from models.config_file import read_config, write_config
from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.errors import ArtifactError
from models.pretrained import read_pretrained
from models.weights import read_weights, write_weights

_PROJECTOR_FILE = "projector.safetensors"
_LANGUAGE_MODEL_DIRECTORY = "language_model"


def save_decoder(decoder: CaptionDecoder, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the decoder into `directory`: trained weights as `dtype`, the embedding statistics as float32."""
    write_config(decoder.config, directory)
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
    config = read_config(directory, DecoderConfig.model_validate_json)
    model, tokenizer = read_pretrained(directory / _LANGUAGE_MODEL_DIRECTORY, AutoModelForCausalLM)
    try:
        decoder = CaptionDecoder(config, model, tokenizer)
    except ValueError as error:
        raise ArtifactError(directory / _LANGUAGE_MODEL_DIRECTORY, str(error)) from error
    read_weights(decoder.projector, directory / _PROJECTOR_FILE)
    return decoder.to(device).eval().requires_grad_(False)
