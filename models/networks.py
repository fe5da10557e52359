"""The three networks of an artifact on one device: loading them together, compiling one, and saying what they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.audio import WINDOW_SAMPLES
from models.bridge.interface import Bridge
from models.bridge.store import load_bridge
from models.clap.encoder import ClapEncoder
from models.clap.store import load_clap
from models.decoder.captioner import CaptionDecoder
from models.decoder.store import load_decoder
from models.device_work import DeviceWork
from models.errors import ArtifactError, DeviceError, DeviceMemoryError
from models.precision import precision_name


@dataclass(frozen=True, slots=True)
class Networks:
    """Encoder, bridge and decoder, in evaluation mode, on `device`."""

    clap: ClapEncoder
    bridge: Bridge
    decoder: CaptionDecoder
    device: torch.device

    def describe(self) -> dict[str, dict[str, Any]]:
        """State what encoder, bridge and decoder are, how large, and in what they compute."""
        clap, language_model = self.clap.model, self.decoder.language_model
        return {
            "encoder": {
                "class": type(clap).__name__,
                "audio_tower": type(clap.audio_model).__name__,
                "text_tower": type(clap.text_model).__name__,
                "dim": self.clap.dim,
                "parameters": count_parameters(clap),
                "precision": precision_name(self.clap.dtype),
            },
            "bridge": {
                "class": type(self.bridge).__name__,
                "kind": self.bridge.config.kind,
                "dim": self.bridge.dim,
                "parameters": count_parameters(self.bridge),
                "precision": precision_name(torch.float32),
            },
            "decoder": {
                "class": type(self.decoder).__name__,
                "language_model": type(language_model).__name__,
                "dim": self.decoder.dim,
                "parameters": count_parameters(self.decoder),
                "precision": precision_name(language_model.dtype),
                "max_caption_tokens": self.decoder.max_caption_tokens,
            },
        }


def load_networks(directory: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Load what a verified artifact holds; encoder and decoder compute in `dtype`.

    The bridge stays float32: it has little of the work, and its denoising steps add their roundings up.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the others need.
    """
    clap = load_clap(directory / "clap", device, dtype)
    bridge = load_bridge(directory / "bridge", device)
    decoder = load_decoder(directory / "decoder", device, dtype)
    for name, dim in (("bridge", bridge.dim), ("decoder", decoder.dim)):
        if dim != clap.dim:
            raise ArtifactError(directory / name / "config.json", f"takes embeddings of width {dim}, clap/ gives {clap.dim}")
    return Networks(clap, bridge, decoder, device)


def compile_audio_tower(clap: ClapEncoder, work: DeviceWork, largest: int) -> None:
    """Compile the encoder for the batch sizes that serving uses: one window, and any number from two to the largest.

    Raises:
        DeviceError: there is no compiler, or it fails.
        DeviceMemoryError: the device has not enough memory for the largest batch.
    """
    clap.compile_towers()
    silence = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    try:
        for count in sorted({1, min(2, largest), largest}):
            with work.begun():
                clap.embed_audio(work.send_windows([silence] * count)).cpu()
    except DeviceMemoryError:
        raise
    # torch.compile raises whatever its parts happen to raise: its own errors, those of a compiler, OSError.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DeviceError(
            f"the encoder cannot be compiled for {work.device} (is there a C++ compiler?): {reason}"
        ) from error
    work.empty_cache()


def count_parameters(module: nn.Module) -> int:
    """Parameters of a network, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())
