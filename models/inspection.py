"""What there is to compute with, asked without loading an artifact: for `diffusion-link doctor`."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from models.decoder.store import find_reference
from models.device import available_bytes, describe_device, resolve_device
from models.errors import SourceError
from models.precision import precision_name, resolve_precision

_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))
"""Where Linux, and Linux below Windows, have a driver of NVIDIA's."""
_MAX_FAULT_CHARS = 300


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """What torch is, and what it sees of GPUs."""

    version: str
    built_for: str | None
    """The CUDA or ROCm that it was built for; None: the CPU alone."""
    gpus: tuple[str, ...]
    driver: bool
    """Whether this machine has a driver for GPUs of NVIDIA's."""
    fault: str
    """Why torch can use none of them, in its own words; empty where it can, or has not been asked."""
    threads: int
    """Of one computation on the CPU."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A released language model that an artifact refers to."""

    source: str
    revision: str | None
    """Commit of the hub; None: a folder."""
    size: int
    """Bytes of its weights on this machine."""
    fault: str
    """Why it could not be loaded without a network; empty where it could."""


def inspect_torch() -> TorchFacts:
    """Ask torch what it is."""
    built_for = torch.version.cuda or torch.version.hip
    with warnings.catch_warnings():
        # What it warns of is what `_cuda_fault` tells.
        warnings.simplefilter("ignore")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    driver = any(path.exists() for path in _DRIVERS)
    return TorchFacts(
        version=torch.__version__,
        built_for=built_for,
        gpus=tuple(torch.cuda.get_device_name(index) for index in range(count)),
        driver=driver,
        fault=_cuda_fault() if built_for and driver and not count else "",
        threads=torch.get_num_threads(),
    )


def inspect_device(name: str, precision: str) -> tuple[str, int | None]:
    """Say which device a name means and in which precision, and how many bytes of it are free; None: not of a GPU's own.

    Raises:
        DeviceError: there is no such device, or it does not compute in this precision.
    """
    device = resolve_device(name)
    said = f"{describe_device(device)}, {precision_name(resolve_precision(precision, device))}"
    return said, available_bytes(device) if device.type == "cuda" else None


def inspect_reference(artifact: Path) -> Reference | None:
    """See whether the language model that a verified artifact refers to is on this machine, and the right one.

    Raises:
        ArtifactError: what it holds is no reference.
    """
    reference = find_reference(artifact / "decoder")
    if reference is None:
        return None
    size, fault = 0, ""
    try:
        folder = reference.folder(offline=True)
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    except (SourceError, OSError) as error:
        fault = str(error)
    return Reference(reference.source, reference.revision, size, fault)


def _cuda_fault() -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()  # type: ignore[no-untyped-call]
    # AssertionError where torch has no CUDA, RuntimeError for all that a driver says.
    except (AssertionError, RuntimeError) as error:
        return str(error).strip().partition("\n")[0][:_MAX_FAULT_CHARS]
    return ""
