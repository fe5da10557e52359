"""Which device computes: the word that a user gives, to the device that torch knows, and how much memory it has.

Also where torch is told to compute float32 as float32, since a batch must give what its rows give alone.
"""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.errors import DeviceError, DeviceMemoryError

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")
"""What tells those RuntimeErrors, of a CPU, of MPS or of a library, from others that mean the same as OutOfMemoryError."""
_NAME = re.compile(r"auto|cpu|mps|cuda(?::(\d{1,3}))?")


def resolve_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda, cuda:N or mps into a device that is there; auto takes the first GPU, else the CPU.

    Raises:
        DeviceError: the word is none of these, or there is no such device.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise DeviceError(f"device {name!r} is not known; use auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device mps is not available on this machine")
        return torch.device("mps")
    index = int(match.group(1) or 0)
    if index >= count:
        raise DeviceError(f"device {name} is not available: torch sees {count} CUDA devices")
    return torch.device("cuda", index)


def use_exact_float32() -> None:
    """Keep cuDNN from TF32 convolutions, its default: their 10 bits make a row depend on its batch beyond 1e-4."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe_device(device: torch.device) -> str:
    """Name the device for people, as in "cuda:0 (NVIDIA H100)"."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def memory_bytes(device: torch.device) -> dict[str, int]:
    """Bytes of a GPU's memory: of tensors (allocated), held by torch (reserved), and all of it (total); empty for a CPU."""
    if device.type != "cuda":
        return {}
    return {
        "allocated": torch.cuda.memory_allocated(device),
        "reserved": torch.cuda.memory_reserved(device),
        "total": torch.cuda.get_device_properties(device).total_memory,
    }


def available_bytes(device: torch.device) -> int:
    """Bytes of a GPU's memory that this process has or can have: other programs and torch's own limit leave it less."""
    free, total = torch.cuda.mem_get_info(device)
    limit = total * torch.cuda.get_per_process_memory_fraction(device)
    return int(min(limit, free + torch.cuda.memory_reserved(device)))


@contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Turn torch's errors of lacking memory into DeviceMemoryError, and free what the failed work still held."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(sign in str(error) for sign in _NO_MEMORY):
            raise
        # The frames of the traceback hold the tensors that were too many.
        traceback.clear_frames(error.__traceback__)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        raise DeviceMemoryError(f"{device} is out of memory") from error
