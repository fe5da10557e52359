"""The processes of one training: shares that cover a batch, and launches that cannot work."""

import sys

import pytest
import torch

from models.errors import DeviceError, TrainingError
from models.training.processes import (
    Processes,
    Share,
    joined_processes,
    launched_processes,
    refuse_several_processes,
)

_CPU = torch.device("cpu")


def _launch(monkeypatch: pytest.MonkeyPatch, count: int, index: int = 0) -> None:
    """As a launcher leaves the environment."""
    for name, value in (("WORLD_SIZE", count), ("LOCAL_WORLD_SIZE", count), ("RANK", index), ("LOCAL_RANK", index)):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(("processes", "parts"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)])
def test_shares_cover_a_batch_once(processes: int, parts: int) -> None:
    batch = list(range(17))
    shares = [Processes(_CPU, index, processes).share(part, parts) for index in range(processes) for part in range(parts)]
    rows = [row for share in shares for row in batch[share.rows]]
    assert sorted(rows) == batch
    assert {share.count for share in shares} == {processes * parts}
    assert Share() == Processes(_CPU).share(0, 1)


def test_a_process_alone_keeps_its_tensors_and_waits_for_nobody() -> None:
    alone, tensor = Processes(_CPU), torch.tensor([1.0, 2.0])
    alone.add_up([tensor])
    alone.begin_alike([tensor])
    alone.wait()
    assert tensor.tolist() == [1, 2]
    assert alone.is_main
    assert not Processes(_CPU, index=1, count=2).is_main


def test_without_a_launcher_the_device_is_the_one_asked_for() -> None:
    with joined_processes("cpu") as processes:
        assert processes == Processes(_CPU)
    with pytest.raises(DeviceError, match="'abacus' is not known"), joined_processes("abacus"):
        pass


@pytest.mark.parametrize(("world", "count"), [("3", 3), ("1", 1), ("0", 1), ("many", 1)])
def test_the_launchers_environment_says_how_many(monkeypatch: pytest.MonkeyPatch, world: str, count: int) -> None:
    _launch(monkeypatch, 1)
    monkeypatch.setenv("WORLD_SIZE", world)
    assert launched_processes() == count


def test_a_world_without_a_place_in_it_is_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched_processes() == 1


def test_a_stage_that_cannot_be_shared_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_several_processes("train-toy")
    _launch(monkeypatch, 2)
    with pytest.raises(TrainingError, match=r"train-toy cannot be shared: .* 2 processes"):
        refuse_several_processes("train-toy")


def test_several_processes_need_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    _launch(monkeypatch, 2)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(TrainingError, match=r"diffusion-link\[train\]"), joined_processes("cpu"):
        pass


@pytest.mark.parametrize(
    ("device", "launched", "gpus", "reason"),
    [
        ("cuda:1", 2, 2, "device cuda:1 cannot be that of several processes"),
        ("auto", 3, 2, "3 processes on this machine, but torch sees 2 CUDA devices"),
        ("cuda", 2, 1, "2 processes on this machine, but torch sees 1 CUDA devices"),
    ],
)
def test_processes_that_cannot_have_a_gpu_each_are_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, launched: int, gpus: int, reason: str
) -> None:
    _launch(monkeypatch, launched)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(DeviceError, match=reason), joined_processes(device):
        pass


def test_each_process_has_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class State:
        """Stands for accelerate's PartialState, which would wait for the other process."""

        process_index, num_processes = 1, 2

        def __init__(self, cpu: bool) -> None:
            events.append("joined on a CPU" if cpu else "joined on a GPU")

        def destroy_process_group(self) -> None:
            events.append("left")

    _launch(monkeypatch, 2, index=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("accelerate.PartialState", State)
    with joined_processes("auto") as processes:
        assert processes == Processes(torch.device("cuda", 1), 1, 2)
        assert events == ["joined on a GPU"]
    assert events == ["joined on a GPU", "left"]
