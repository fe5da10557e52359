"""Work on a device: without gradients, errors with a name, copies of arrays, and streams and pinning on CUDA."""

import threading
import time

import numpy as np
import pytest
import torch

from models.audio import WINDOW_SAMPLES
from models.device_work import DeviceWork
from models.errors import DeviceMemoryError


@pytest.fixture
def work() -> DeviceWork:
    return DeviceWork(torch.device("cpu"))


def test_nothing_asks_for_gradients(work: DeviceWork) -> None:
    weights = torch.ones(2, requires_grad=True)
    with work.begun():
        assert not (weights * 2).requires_grad
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_lack_of_memory_has_a_name(work: DeviceWork) -> None:
    with pytest.raises(DeviceMemoryError, match="cpu is out of memory"), work.begun():
        raise torch.OutOfMemoryError("too much")
    assert not torch.is_inference_mode_enabled()


def test_windows_are_stacked_as_they_are(work: DeviceWork) -> None:
    windows = np.random.default_rng(0).uniform(-1, 1, (3, WINDOW_SAMPLES)).astype(np.float32)
    windows.flags.writeable = False
    sent = work.send_windows([windows[2], windows[0]])
    assert sent.dtype == torch.float32
    assert not sent.is_pinned()
    assert np.array_equal(sent.numpy(), windows[[2, 0]])


def test_a_row_that_is_sent_is_a_copy(work: DeviceWork) -> None:
    rows = np.ones((2, 3), dtype=np.float32)
    sent = work.send(rows)
    rows[:] = 0
    assert sent.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_cpu_has_no_cache_to_empty(work: DeviceWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("nothing to do"))
    work.empty_cache()


@pytest.mark.cuda
def test_what_a_stream_no_longer_needs_is_given_back() -> None:
    work = DeviceWork(torch.device("cuda", 0))
    size = 64 * 1024**2
    before = torch.cuda.memory_reserved(work.device)
    with work.begun():
        torch.zeros(size // 4, device=work.device)
    assert torch.cuda.memory_reserved(work.device) >= before + size
    work.empty_cache()
    assert torch.cuda.memory_reserved(work.device) <= before


@pytest.mark.cuda
def test_windows_go_to_a_gpu_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sent_from: list[tuple[bool, bool]] = []
    send = torch.Tensor.to

    def to(tensor: torch.Tensor, *arguments: object, **settings: bool) -> torch.Tensor:
        sent_from.append((tensor.is_pinned(), settings.get("non_blocking", False)))
        return send(tensor, *arguments, **settings)

    monkeypatch.setattr(torch.Tensor, "to", to)
    windows = np.random.default_rng(0).uniform(-1, 1, (4, WINDOW_SAMPLES)).astype(np.float32)
    work = DeviceWork(torch.device("cuda", 0))
    with work.begun():
        sent = work.send_windows(list(windows))
        assert sent.device == work.device
        assert sent_from == [(True, True)]
        assert np.array_equal(sent.cpu().numpy(), windows)


@pytest.mark.cuda
def test_each_thread_has_a_stream_of_its_own() -> None:
    work = DeviceWork(torch.device("cuda", 0))
    streams: dict[str, int] = {}

    def note(name: str) -> None:
        with work.begun():
            streams[name] = torch.cuda.current_stream().cuda_stream

    note("main")
    other = threading.Thread(target=note, args=("other",))
    other.start()
    other.join()
    assert len({streams["main"], streams["other"], torch.cuda.default_stream().cuda_stream}) == 3
    with work.begun():
        assert torch.cuda.current_stream().cuda_stream == streams["main"], "and keeps it"
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


@pytest.mark.cuda
def test_two_threads_use_a_gpu_at_once() -> None:
    """A kernel that waits for a long time in one thread does not keep the other's from being done."""
    work = DeviceWork(torch.device("cuda", 0))
    begun, ended_s = threading.Event(), {}

    def sum_few() -> float:
        with work.begun():
            return float(work.send(np.ones((2, 2), dtype=np.float32)).sum().cpu())

    # A first allocation would wait for all kernels.
    sum_few()

    def sleep_long() -> None:
        with work.begun():
            torch.cuda._sleep(2_000_000_000)  # about a second, by the GPU's clock
            begun.set()
            torch.cuda.current_stream().synchronize()
        ended_s["long"] = time.perf_counter()

    thread = threading.Thread(target=sleep_long)
    thread.start()
    begun.wait()
    assert sum_few() == 4
    ended_s["short"] = time.perf_counter()
    thread.join()
    assert ended_s["short"] < ended_s["long"]
