"""Bridges on disk: config.json says which and how built, model.safetensors holds weights and embedding statistics.

Loading is strict: what is missing, damaged, unknown, misshapen or not finite is refused with the file's name and the
reason.
"""

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter

from models.bridge.c3 import C3, C3Config
from models.bridge.conditional_prior import ConditionalPrior, ConditionalPriorConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig
from models.bridge.identity import Identity, IdentityConfig
from models.bridge.interface import Bridge
from models.bridge.mean_shift import MeanShift, MeanShiftConfig
from models.bridge.mlp_regression import MlpRegression, MlpRegressionConfig
from models.bridge.realign import ReAlign, ReAlignConfig
from models.bridge.ridge import Ridge, RidgeConfig
from models.bridge.text_memory import TextMemory, TextMemoryConfig
from models.config_file import read_config, write_config
from models.weights import read_weights, write_weights

_WEIGHTS_FILE = "model.safetensors"

AnyBridgeConfig = Annotated[
    C3Config
    | ConditionalPriorConfig
    | DiffusionBridgeConfig
    | DiffusionLinkConfig
    | IdentityConfig
    | MeanShiftConfig
    | MlpRegressionConfig
    | ReAlignConfig
    | RidgeConfig
    | TextMemoryConfig,
    Field(discriminator="kind"),
]
"""The settings of any bridge, told apart by `kind`."""
_CONFIGS: TypeAdapter[AnyBridgeConfig] = TypeAdapter(AnyBridgeConfig)


def save_bridge(bridge: Bridge, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the bridge into `directory`: trained weights as `dtype`, statistics and closed-form maps as float32."""
    write_config(bridge.config, directory)
    write_weights(bridge, directory / _WEIGHTS_FILE, dtype)


def load_bridge(directory: Path, device: torch.device | str = "cpu") -> Bridge:
    """Read a bridge for inference: float32, in evaluation mode, on `device`.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the bridge's kind needs.
    """
    bridge = _empty_bridge(read_config(directory, _CONFIGS.validate_json))
    read_weights(bridge, directory / _WEIGHTS_FILE)
    return bridge.to(device).eval().requires_grad_(False)


def _empty_bridge(config: AnyBridgeConfig) -> Bridge:
    match config:
        case C3Config():
            return C3.empty(config)
        case ConditionalPriorConfig():
            return ConditionalPrior.empty(config)
        case DiffusionBridgeConfig():
            return DiffusionBridge.empty(config)
        case DiffusionLinkConfig():
            return DiffusionLink.empty(config)
        case IdentityConfig():
            return Identity.empty(config)
        case MeanShiftConfig():
            return MeanShift.empty(config)
        case MlpRegressionConfig():
            return MlpRegression.empty(config)
        case ReAlignConfig():
            return ReAlign.empty(config)
        case RidgeConfig():
            return Ridge.empty(config)
        case TextMemoryConfig():
            return TextMemory.empty(config)
