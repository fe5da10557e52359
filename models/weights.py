"""Reading and writing of tensor files that may be damaged: safetensors only, checked before a module sees them."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.errors import ArtifactError
from models.pretrained import is_finite


def write_weights(module: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the module's state: parameters as `dtype`, buffers (statistics) as they are."""
    parameters = {name for name, _ in module.named_parameters()}
    tensors = {
        name: (tensor.to(dtype) if name in parameters else tensor).cpu().contiguous()
        for name, tensor in module.state_dict().items()
    }
    save_file(tensors, path, metadata={"format": "pt"})


def read_weights(module: nn.Module, path: Path) -> None:
    """Fill the module, in float32, with a file that holds its tensors exactly: the same names and shapes, all finite.

    Raises:
        ArtifactError: the file is missing or damaged, or its tensors are not the module's.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(path, f"not a readable safetensors file: {error}") from error
    expected = module.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ArtifactError(path, f"lacks {', '.join(missing)}")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise ArtifactError(path, f"holds unknown {', '.join(unknown)}")
    for name, tensor in tensors.items():
        _check(name, tensor, expected[name], path)
    module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})


def _check(name: str, tensor: Tensor, expected: Tensor, path: Path) -> None:
    if tensor.shape != expected.shape:
        raise ArtifactError(path, f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected.shape)}")
    if not tensor.is_floating_point():
        raise ArtifactError(path, f"{name} is {tensor.dtype}, expected floating point")
    if not is_finite(tensor):
        raise ArtifactError(path, f"{name} holds NaN, infinity, or numbers of 8 bits or less")
