"""Words for devices: only those that are there are resolved, the rest are refused with a reason."""

import pytest
import torch

from models.device import available_bytes, describe_device, memory_bytes, memory_errors, resolve_device, use_exact_float32
from models.errors import DeviceError, DeviceMemoryError


def _machine(monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("name", "gpus", "resolved"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, resolved: str) -> None:
    _machine(monkeypatch, gpus=gpus)
    assert resolve_device(name) == torch.device(resolved)


def test_mps_is_taken_only_where_it_is_asked_for_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, mps=True)
    assert resolve_device("mps") == torch.device("mps")
    assert resolve_device("auto") == torch.device("cpu")
    _machine(monkeypatch)
    with pytest.raises(DeviceError, match="mps is not available"):
        resolve_device("mps")


@pytest.mark.parametrize(("name", "gpus"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int) -> None:
    _machine(monkeypatch, gpus=gpus)
    with pytest.raises(DeviceError, match=f"{name} is not available: torch sees {gpus} CUDA devices"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:0 ", "cuda:0\n", "cpu:0", "xla", "cuda:1e9"])
def test_a_word_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="use auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_devices_are_named_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    assert describe_device(torch.device("cpu")) == "cpu"
    assert describe_device(torch.device("cuda", 1)) == "cuda:1 (Card 1)"


def test_convolutions_keep_all_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    use_exact_float32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError("numpy's"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory", 2),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 0.00 GB)"),
    ],
)
def test_a_lack_of_memory_is_one_error_and_frees_what_failed(error: Exception) -> None:
    freed = []

    class Large:
        def __del__(self) -> None:
            freed.append(True)

    def fail() -> None:
        _large = Large()
        raise error

    with pytest.raises(DeviceMemoryError, match="cpu is out of memory"), memory_errors(torch.device("cpu")):
        fail()
    assert freed == [True]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors(torch.device("cpu")):
        raise RuntimeError("a wrong shape")


def test_a_gpu_s_cache_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    with pytest.raises(DeviceMemoryError), memory_errors(torch.device("cuda", 0)):
        raise torch.OutOfMemoryError
    assert emptied == [True]


def test_memory_of_a_cpu_is_not_counted() -> None:
    assert memory_bytes(torch.device("cpu")) == {}


def test_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 1)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("P", (), {"total_memory": 3})())
    assert memory_bytes(torch.device("cuda", 0)) == {"allocated": 1, "reserved": 2, "total": 3}


@pytest.mark.parametrize(
    ("free", "reserved", "fraction", "available"),
    [(9_000, 500, 1.0, 9_500), (9_900, 500, 1.0, 10_000), (9_000, 500, 0.25, 2_500)],
)
def test_memory_that_this_process_can_have(
    monkeypatch: pytest.MonkeyPatch, free: int, reserved: int, fraction: float, available: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: reserved)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: fraction)
    assert available_bytes(torch.device("cuda", 0)) == available
