"""The loop: broken or unbroken, the same weights."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.errors import TrainingError
from models.training.loop import LoopSettings, TrainingLoop, learning_rate_at, step_seed
from models.training.processes import Share

_SETTINGS = LoopSettings(
    steps=12, learning_rate=0.05, warmup_steps=2, ema_decay=0.5, checkpoint_every=4, evaluate_every=6, log_every=1
)


class _Interrupt(Exception):
    """Stands for a kill: nothing of the loop runs after it."""


class _Run:
    """A tiny regression with dropout and batch norm, both of which remember or draw."""

    def __init__(self, directory: Path, settings: LoopSettings = _SETTINGS, stop_at: int = -1) -> None:
        torch.manual_seed(1)
        self.module = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.loop = TrainingLoop("toy", settings, self.module, directory)
        self.stop_at = stop_at

    def batch_loss(self, generator: torch.Generator, step: int, share: Share) -> Mapping[str, Tensor]:
        if step == self.stop_at:
            raise _Interrupt
        x = torch.randn(16, 3, generator=generator)
        return {"loss": (self.module(x) - x.sum(dim=1, keepdim=True)).square().mean()}

    def evaluate(self) -> Mapping[str, float]:
        assert not self.module.training
        x = torch.eye(3)
        return {"error": (self.module(x) - 1).square().mean().item()}

    def run(self, *, resume: bool = False) -> dict[str, Tensor]:
        self.loop.run(self.batch_loss, self.evaluate, resume=resume)
        return self.module.state_dict()


def _steps(directory: Path) -> list[int]:
    lines = (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines if "loss" in json.loads(line)]


@pytest.mark.parametrize("stop_at", [2, 5, 8, 11])
def test_a_run_that_was_cut_off_ends_like_an_unbroken_one(tmp_path: Path, stop_at: int) -> None:
    whole = _Run(tmp_path / "whole").run()
    with pytest.raises(_Interrupt):
        _Run(tmp_path / "broken", stop_at=stop_at).run()
    torch.randn(100)
    resumed = _Run(tmp_path / "broken").run(resume=True)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert _steps(tmp_path / "broken") == _steps(tmp_path / "whole") == list(range(1, 13))


def test_a_finished_run_resumed_stays_as_it_is(tmp_path: Path) -> None:
    first = _Run(tmp_path).run()
    again = _Run(tmp_path).run(resume=True)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    _Run(tmp_path).run()
    _Run(tmp_path).run()
    assert _steps(tmp_path) == list(range(1, 13))


def test_the_average_is_the_result_and_lags_behind(tmp_path: Path) -> None:
    averaged = _Run(tmp_path / "a").run()
    last = _Run(tmp_path / "b", _SETTINGS.model_copy(update={"ema_decay": 0.0})).run()
    assert not torch.equal(averaged["0.weight"], last["0.weight"])
    checkpoint = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert torch.equal(checkpoint["module"]["0.weight"], last["0.weight"])


def test_evaluation_leaves_no_trace_in_the_training(tmp_path: Path) -> None:
    often = _Run(tmp_path / "a", _SETTINGS.model_copy(update={"evaluate_every": 1})).run()
    seldom = _Run(tmp_path / "b", _SETTINGS.model_copy(update={"evaluate_every": 100})).run()
    assert all(torch.equal(tensor, seldom[name]) for name, tensor in often.items())


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    _Run(tmp_path).run()
    other = _Run(tmp_path)
    other.loop = TrainingLoop("toy", _SETTINGS, nn.Linear(2, 2), tmp_path)
    with pytest.raises(TrainingError, match="not a checkpoint"):
        other.run(resume=True)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingError, match="not a checkpoint"):
        _Run(tmp_path).run(resume=True)


def test_a_checkpoint_from_before_frozen_weights_and_scales_is_gone_on_with(tmp_path: Path) -> None:
    def run(stop_at: int = -1) -> _Run:
        run = _Run(tmp_path, stop_at=stop_at)
        run.module[0].weight.requires_grad_(False)
        run.loop = TrainingLoop("toy", _SETTINGS, run.module, tmp_path)
        return run

    whole = {name: tensor.clone() for name, tensor in run().run().items()}
    with pytest.raises(_Interrupt):
        run(stop_at=5).run()
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["scaler"]
    for kept in ("module", "average"):
        state[kept] |= {"0.weight": whole["0.weight"]}
    torch.save(state, path)
    resumed = run().run(resume=True)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    run = _Run(tmp_path)
    with pytest.raises(TrainingError, match="nan at step 0"):
        run.loop.run(lambda *_: {"loss": torch.tensor(torch.nan)}, run.evaluate, resume=False)


def test_the_learning_rate_warms_up_and_cools_down() -> None:
    rates = [learning_rate_at(_SETTINGS, step) for step in range(12)]
    assert rates[:2] == [0.025, 0.05]
    assert rates[2] == pytest.approx(0.05)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert learning_rate_at(_SETTINGS, 12) == pytest.approx(0.0)


def test_steps_have_seeds_of_their_own() -> None:
    seeds = {step_seed(seed, step) for seed in range(3) for step in range(100)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)
