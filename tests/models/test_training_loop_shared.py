"""The loop shared and in half precision: divided batches and resumed scales give the same weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.training.loop import LoopSettings, TrainingLoop, refuse_division
from models.training.processes import Processes, Share

_SETTINGS = LoopSettings(
    steps=12, learning_rate=0.05, warmup_steps=2, ema_decay=0.5, checkpoint_every=4, evaluate_every=6, log_every=1
)


class _Interrupt(Exception):
    """Stands for a kill: nothing of the loop runs after it."""


class _Divided:
    """A tiny regression whose loss is a mean over rows, so that it can be divided; it notes what dropout drew."""

    def __init__(self, directory: Path, processes: Processes | None = None, **settings: Any) -> None:
        torch.manual_seed(1)
        self.module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.settings = LoopSettings.model_validate(_SETTINGS.model_dump() | settings)
        self.loop = TrainingLoop("toy", self.settings, self.module, directory, processes)
        self.drawn: list[tuple[Share, float]] = []
        self.computed_in: set[torch.dtype] = set()

    def batch_loss(self, generator: torch.Generator, step: int, share: Share) -> Mapping[str, Tensor]:
        self.drawn.append((share, torch.rand(()).item()))
        x = torch.randn(16, 3, generator=generator)
        out = self.module(x[share.rows])
        self.computed_in.add(out.dtype)
        return {"loss": (out.float() - x.sum(dim=1, keepdim=True)[share.rows]).square().sum() / len(x)}

    def run(self, *, resume: bool = False) -> dict[str, Tensor]:
        self.loop.run(self.batch_loss, lambda: {}, resume=resume)
        return self.module.state_dict()


def _losses(directory: Path) -> list[float]:
    lines = (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)]


@pytest.mark.parametrize("accumulation", [2, 3, 16])
def test_a_batch_in_micro_batches_gives_the_weights_and_losses_of_a_whole_one(tmp_path: Path, accumulation: int) -> None:
    whole = _Divided(tmp_path / "whole").run()
    run = _Divided(tmp_path / "divided", accumulation=accumulation)
    divided = run.run()
    assert len(run.drawn) == 12 * accumulation
    for name, tensor in whole.items():
        torch.testing.assert_close(divided[name], tensor, rtol=0, atol=1e-5)
    assert _losses(tmp_path / "divided") == pytest.approx(_losses(tmp_path / "whole"), abs=2e-5)


def test_every_share_has_dropout_of_its_own(tmp_path: Path) -> None:
    run = _Divided(tmp_path, accumulation=2)
    run.run()
    assert len({drawn for _, drawn in run.drawn}) == 24
    assert [share for share, _ in run.drawn[:2]] == [Share(0, 2), Share(1, 2)]


def test_another_process_than_the_main_one_writes_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _Divided(tmp_path, Processes(torch.device("cpu"), index=1)).run()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_half_precision_computes_and_the_weights_stay_float32(tmp_path: Path, precision: str, dtype: torch.dtype) -> None:
    run = _Divided(tmp_path, precision=precision, steps=30)
    weights = run.run()
    losses = _losses(tmp_path)
    assert run.computed_in == {dtype}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert losses[-1] < 0.5 * losses[0]


def test_a_resumed_run_in_float16_ends_like_an_unbroken_one_and_at_its_scale(tmp_path: Path) -> None:
    def scaled(name: str) -> _Divided:
        run = _Divided(tmp_path / name, precision="fp16")
        run.loop.scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
        return run

    whole, broken = scaled("whole").run(), scaled("broken")
    save = broken.loop._save

    def stop() -> None:
        save()
        raise _Interrupt

    broken.loop._save = stop  # type: ignore[method-assign]
    with pytest.raises(_Interrupt):
        broken.run()
    resumed = _Divided(tmp_path / "broken", precision="fp16")
    weights = resumed.run(resume=True)
    assert resumed.loop.scaler.get_scale() == 4096
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.items())


def test_a_step_whose_float16_gradients_overflow_is_left_out(tmp_path: Path) -> None:
    run = _Divided(tmp_path, precision="fp16", steps=1, warmup_steps=0)
    run.loop.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = {name: tensor.clone() for name, tensor in run.module.state_dict().items()}
    after = run.run()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert run.loop.scaler.get_scale() == 2.0**39


def test_frozen_weights_are_in_no_checkpoint_and_are_needed_by_none(tmp_path: Path) -> None:
    def run(*, resume: bool) -> dict[str, Tensor]:
        run = _Divided(tmp_path)
        run.module[0].requires_grad_(False)
        run.loop = TrainingLoop("toy", run.settings, run.module, tmp_path)
        return run.run(resume=resume)

    trained = run(resume=False)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert checkpoint["module"].keys() == checkpoint["average"].keys() == {"2.weight", "2.bias"}
    again = run(resume=True)
    assert all(torch.equal(tensor, again[name]) for name, tensor in trained.items())


def test_settings_that_are_what_they_always_were_leave_no_trace_in_a_dump() -> None:
    assert {"accumulation", "precision"}.isdisjoint(_SETTINGS.model_dump(mode="json"))
    divided = _SETTINGS.model_copy(update={"accumulation": 2, "precision": "bf16"})
    assert divided.model_dump(mode="json") == _SETTINGS.model_dump(mode="json") | {"accumulation": 2, "precision": "bf16"}


@pytest.mark.parametrize(("setting", "value"), [("accumulation", 2), ("precision", "bf16")])
def test_a_stage_that_needs_whole_batches_refuses_others(setting: str, value: object) -> None:
    refuse_division("train-toy", _SETTINGS)
    with pytest.raises(TrainingError, match=rf"train-toy .*loop\.{setting}"):
        refuse_division("train-toy", _SETTINGS.model_copy(update={setting: value}))
