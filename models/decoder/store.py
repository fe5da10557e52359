"""Caption decoders on disk: config.json, projector.safetensors, and language_model/ as transformers writes it.

Loading is strict: what is missing, damaged, unknown, misshapen or not finite is refused with the file's name and the
reason. Half precision on disk is read back as float32.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.errors import ArtifactError
from models.weights import read_weights, write_weights

_CONFIG_FILE = "config.json"
_PROJECTOR_FILE = "projector.safetensors"
_LANGUAGE_MODEL_DIRECTORY = "language_model"
_LANGUAGE_MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


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
    model, tokenizer = _read_language_model(directory / _LANGUAGE_MODEL_DIRECTORY)
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


def _read_language_model(directory: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    for name in _LANGUAGE_MODEL_FILES:
        _check_json(directory / name)
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        raise ArtifactError(directory / "model.safetensors", "is missing")
    for path in weights:
        _check_weights(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # transformers raises whatever its model and tokenizer classes happen to raise on files that do not fit together.
    except Exception as error:
        raise ArtifactError(directory, f"transformers cannot load it: {error}") from error
    model, report = loaded
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if report[fault]:
            raise ArtifactError(directory, f"weights do not fit, {fault}: {sorted(map(str, report[fault]))}")
    return model, tokenizer


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(path, f"is not JSON: {error}") from error


def _check_weights(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.offset_keys():
                if not bool(torch.isfinite(tensors.get_tensor(name)).all()):
                    raise ArtifactError(path, f"{name} holds NaN or infinity")
    except (OSError, SafetensorError) as error:
        raise ArtifactError(path, f"not a readable safetensors file: {error}") from error
