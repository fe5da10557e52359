"""Bridges on disk: config.json says which and how built, model.safetensors holds weights and embedding statistics.

Loading is strict: what is missing, damaged, unknown, misshapen or not finite is refused with the file's name and the
reason.
"""

import json
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig
from models.bridge.identity import Identity, IdentityConfig
from models.bridge.interface import Bridge
from models.bridge.mean_shift import MeanShift, MeanShiftConfig
from models.bridge.ridge import Ridge, RidgeConfig
from models.errors import ArtifactError
from models.weights import read_weights, write_weights

_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "model.safetensors"

AnyBridgeConfig = Annotated[
    DiffusionLinkConfig | IdentityConfig | MeanShiftConfig | RidgeConfig, Field(discriminator="kind")
]
"""The settings of any bridge, told apart by `kind`."""
_CONFIGS: TypeAdapter[AnyBridgeConfig] = TypeAdapter(AnyBridgeConfig)


def save_bridge(bridge: Bridge, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the bridge into `directory`: trained weights as `dtype`, statistics and closed-form maps as float32."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(bridge.config.model_dump(mode="json"), indent=2)
    (directory / _CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    write_weights(bridge, directory / _WEIGHTS_FILE, dtype)


def load_bridge(directory: Path, device: torch.device | str = "cpu") -> Bridge:
    """Read a bridge for inference: float32, in evaluation mode, on `device`.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the bridge's kind needs.
    """
    bridge = _empty_bridge(_read_config(directory / _CONFIG_FILE))
    read_weights(bridge, directory / _WEIGHTS_FILE)
    return bridge.to(device).eval().requires_grad_(False)


def _read_config(path: Path) -> AnyBridgeConfig:
    try:
        content = path.read_bytes()
        config = _CONFIGS.validate_json(content)
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ArtifactError(path, "; ".join(_describe(fault) for fault in error.errors(include_url=False))) from error
    # Defaults serve recipes. On disk all settings are spelled out: a later default must not change a stored bridge.
    if json.loads(content) != config.model_dump(mode="json"):
        raise ArtifactError(path, "leaves settings to their defaults")
    return config


def _describe(fault: ErrorDetails) -> str:
    return f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"


def _empty_bridge(config: AnyBridgeConfig) -> Bridge:
    match config:
        case DiffusionLinkConfig():
            return DiffusionLink.empty(config)
        case IdentityConfig():
            return Identity.empty(config)
        case MeanShiftConfig():
            return MeanShift.empty(config)
        case RidgeConfig():
            return Ridge.empty(config)
