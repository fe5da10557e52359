"""Which floating-point format networks compute in: the word that a user gives, to the dtype that torch knows."""

from typing import Literal, get_args

import torch

from models.errors import DeviceError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn auto, fp32, bf16 or fp16 into a dtype; auto is bfloat16 on a GPU that computes with it, else float32.

    Raises:
        DeviceError: the word is none of these, or the GPU has no such arithmetic.
    """
    if name not in get_args(Precision):
        raise DeviceError(f"precision {name!r} is not known; use {', '.join(get_args(Precision))}")
    # Not torch.cuda.is_bf16_supported, which looks at the first GPU, whichever is asked for.
    has_bfloat16 = device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and has_bfloat16 else torch.float32
    if name == "bf16" and not has_bfloat16:
        raise DeviceError(f"precision bf16 is not to be had on {torch.cuda.get_device_name(device)}; use fp16 or fp32")
    return DTYPES[name]


def precision_name(dtype: torch.dtype) -> str:
    """Name a dtype as `resolve_precision` does."""
    return next(name for name, known in DTYPES.items() if known == dtype)
