"""The processes that share one training, and what they exchange: sums of gradients and losses.

`torchrun` (or on GPUs `accelerate launch`) starts the same command several times. Each process draws the same batch,
computes the loss of its own share of the rows, and all add up their gradients; so they hold the same weights all along, and
but for dropout, which each share draws for itself, the result does not depend on their number. The module stays unwrapped
(DistributedDataParallel would rename its weights), and accelerate's `Accelerator` is not used: it is one for the whole
program, and refuses a second precision.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from models.device import resolve_device
from models.errors import DeviceError, TrainingError


@dataclass(frozen=True, slots=True)
class Share:
    """Every `count`-th row of a batch, from row `index` on."""

    index: int = 0
    count: int = 1

    @property
    def rows(self) -> slice:
        """The rows, as an index of a tensor or list."""
        return slice(self.index, None, self.count)


@dataclass(frozen=True, slots=True)
class Processes:
    """One process among those that share a training; by itself it is the only one."""

    device: torch.device
    """The device that this process computes on."""
    index: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.index == 0

    def share(self, part: int, parts: int) -> Share:
        """The share of a batch that is micro-batch `part` of `parts` in this process."""
        return Share(self.index * parts + part, self.count * parts)

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, which must all call this with tensors of the same shapes."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def begin_alike(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the main one's tensors, in place: built by the same seed, yet perhaps on other hardware."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.count > 1:
            distributed.barrier(device_ids=[self.device.index] if self.device.type == "cuda" else None)


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that this one was launched with, if any, until the block ends without an error.

    With several on GPUs, `auto` and `cuda` are the process's own. After an error the group is left as it is: the launcher
    ends the other processes as soon as this one exits with a status other than 0.

    Raises:
        TrainingError: there are several, and accelerate is not installed.
        DeviceError: there is no such device, or not one for each process.
    """
    if launched_processes() == 1:
        yield Processes(resolve_device(device))
        return
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise TrainingError("several processes need accelerate: pip install 'diffusion-link[train]'") from error
    own = _own_device(device)
    state = PartialState(cpu=own.type == "cpu")
    yield Processes(own, state.process_index, state.num_processes)
    state.destroy_process_group()


def launched_processes() -> int:
    """How many processes a launcher started together with this one, this one among them."""
    count = os.environ.get("WORLD_SIZE", "1")
    return max(1, int(count)) if "LOCAL_RANK" in os.environ and count.isdecimal() else 1


def refuse_several_processes(stage: str) -> None:
    """Check that a stage that cannot be shared was not launched several times at once.

    Raises:
        TrainingError: it was.
    """
    if (count := launched_processes()) > 1:
        raise TrainingError(f"{stage} cannot be shared: start it once, without a launcher, instead of in {count} processes")


def _own_device(name: str) -> torch.device:
    """The device of one process among several: the CPU, or the GPU of its number on this machine."""
    device = resolve_device(name)
    if device.type == "cpu":
        return device
    on_this_machine, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if name not in ("auto", "cuda"):
        raise DeviceError(f"device {name} cannot be that of several processes: use auto, cuda or cpu")
    if on_this_machine > gpus:
        raise DeviceError(f"{on_this_machine} processes on this machine, but torch sees {gpus} CUDA devices")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
