"""Reading of pickled checkpoints (.pt): safe loading, or unsafe loading of one file that its user vouches for by its sum."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checksum import sha256_of
from models.errors import SourceError

_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS: list[Any] = [
    # The names that NumPy 1 and NumPy 2 pickle it under. It builds a number of a dtype, and can do nothing else.
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(code)) for code in "fdil"},
]
"""What LAION's training keeps beside the weights: its best measures."""


def read_checkpoint(path: Path, trusted_sha256: str | None = None) -> tuple[dict[str, Tensor], str]:
    """Read the weights of a checkpoint, bare or under "state_dict", and the sha256 of the file.

    Args:
        path: the file.
        trusted_sha256: sum of a file that may run code while it is loaded; only then is what safe loading refuses loaded.

    Raises:
        SourceError: the file cannot be read, is not the one that is trusted, is refused, or holds no weights.
    """
    try:
        sha256 = sha256_of(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if trusted_sha256 is not None and trusted_sha256.lower() != sha256:
        raise SourceError(f"{path} is not the file that is trusted: its sha256 is {sha256}")
    return _weights(_unpickled(path, sha256, trusted=trusted_sha256 is not None), path), sha256


def _unpickled(path: Path, sha256: str, *, trusted: bool) -> Any:
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files raise whatever zipfile, pickle and torch happen to raise.
    except Exception as error:
        if not trusted:
            reason = _first_reason(error)
            if not isinstance(error, pickle.UnpicklingError):
                raise SourceError(f"{path} is not a readable checkpoint: {reason}") from error
            raise SourceError(
                f"{path} is refused, since loading it could run code that is in it ({reason}). If you trust where it comes "
                f"from, compare its sha256 with what is published there, and add: --trust-pickle {sha256}"
            ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise SourceError(f"{path} is not a readable checkpoint: {error}") from error


def _first_reason(error: Exception) -> str:
    """What was found, out of torch's page of advice on how to load it all the same."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = [line for line in lines if line.startswith("WeightsUnpickler error: ")]
    return (
        (found or lines or [type(error).__name__])[0]
        .removeprefix("WeightsUnpickler error: ")
        .split(" Please use")[0]
        .rstrip(".")
    )


def _weights(content: Any, path: Path) -> dict[str, Tensor]:
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise SourceError(f"{path} holds no weights, neither bare nor under 'state_dict'")
    if odd := [str(name) for name, tensor in state.items() if not _is_plain(tensor)]:
        raise SourceError(f"{path}: {odd[0]} is no plain table of numbers")
    # DistributedDataParallel puts its own name before those of the model.
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _is_plain(tensor: Tensor) -> bool:
    """Not sparse, quantised, nested, or a mere shape: a pickle can hold all of these."""
    is_table = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_quantized
    return is_table and not tensor.is_meta
