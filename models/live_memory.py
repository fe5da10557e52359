"""How much memory a computation takes at its peak, measured: by the allocator on CUDA, by counting tensors elsewhere.

What a kernel takes for itself while it runs is counted on CUDA, and is not seen elsewhere.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that tensors take at most while `work` runs without gradients, beyond what was there before."""
    with torch.no_grad():
        if device.type == "cuda":
            return _peak_on_cuda(work, device)
        # Not inference mode: a dispatch mode then sees composite operations whole, and not what they make in between.
        tensors = _LiveTensors()
        with tensors:
            work()
        return tensors.peak


def _peak_on_cuda(work: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    peak: int = torch.cuda.max_memory_allocated(device)
    return peak - before


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of storages that operations make, from when they are made until nothing holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._known = dict[int, "weakref.ref[torch.UntypedStorage]"]()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; what it is given was there before, or is known already."""
        for storage in _storages((args, kwargs)):
            self._watch(storage, 0)
        made = function(*args, **(kwargs or {}))
        for storage in _storages(made):
            self._watch(storage, storage.nbytes())
        self.peak = max(self.peak, self._now)
        return made

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        key = id(storage)
        if key in self._known:
            return
        self._now += size

        def forget(_: object) -> None:
            self._now -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)


def _storages(values: object) -> Iterator[torch.UntypedStorage]:
    """Storages of all tensors in a nest of lists, tuples and dictionaries; torch keeps one Python object for each."""
    return (leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
