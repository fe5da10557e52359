"""How work gets on a device and off it: a stream for each thread, arrays there and back, and errors with a name."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from models.audio import WINDOW_SAMPLES
from models.device import memory_errors


class ThreadStream(threading.local):
    """A CUDA stream for each thread that uses it, so that two threads use a GPU at once; nothing on other devices.

    Without it all threads queue up in the one stream that torch gives to everybody.
    """

    def __init__(self, device: torch.device) -> None:
        """Make the stream of the thread that looks at this object for the first time."""
        on_cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if on_cuda else None  # type: ignore[no-untyped-call]

    def entered(self) -> AbstractContextManager[object]:
        """Compute on the stream of this thread."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


class DeviceWork:
    """One device, for inference from any thread.

    What a thread computes is its own until it is an array again; reading that waits for the thread's stream.
    """

    def __init__(self, device: torch.device) -> None:
        """Use a device that is there."""
        self.device = device
        self._stream = ThreadStream(device)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Compute without gradients on the stream of this thread.

        Raises:
            DeviceMemoryError: the device has not enough memory for what is done.
        """
        with memory_errors(self.device), self._stream.entered(), torch.inference_mode():
            yield

    def empty_cache(self) -> None:
        """Give back what torch keeps of a GPU's memory for the next tensors of a stream: another stream cannot use it."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def send_windows(self, windows: Sequence[Float32[np.ndarray, " samples"]]) -> Float[Tensor, "windows samples"]:
        """Stack windows, and send them on their way to a GPU: from pinned memory, so that nobody waits for the copy.

        On other devices they stay where they are: the encoder takes them from there.
        """
        pinned = self.device.type == "cuda"
        stacked = torch.empty(len(windows), WINDOW_SAMPLES, pin_memory=pinned)
        np.stack(windows, out=stacked.numpy())
        return stacked.to(self.device, non_blocking=True) if pinned else stacked

    def send(self, array: Float32[np.ndarray, "rows columns"]) -> Float[Tensor, "rows columns"]:
        """Copy rows: torch warns of memory that it must not write to, and a caller may go on using its own."""
        return torch.tensor(array, device=self.device)
