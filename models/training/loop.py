"""The training loop of every stage: steps, learning rate, averaging, log, checkpoints.

Everything random in a step comes from (seed, step) alone, and a checkpoint holds all that outlives a step. So a run that
was killed anywhere and resumed ends with the same weights as an unbroken one.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch import Tensor, nn

from models.errors import TrainingError
from models.training.folders import LOG_FILE, append_log, write_whole

BatchLoss = Callable[[torch.Generator, int], Mapping[str, Tensor]]
"""Losses of one step, drawn with its generator; `loss` is the one to differentiate."""
Evaluate = Callable[[], Mapping[str, float]]
"""Measures of the averaged weights, called in evaluation mode."""

_CHECKPOINT = "checkpoint.pt"


class LoopSettings(BaseModel):
    """How long and how fast a stage learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: PositiveInt
    learning_rate: PositiveFloat
    """Peak, reached after `warmup_steps`; a cosine then takes it down to zero."""
    warmup_steps: NonNegativeInt = 100
    weight_decay: NonNegativeFloat = 0.01
    """Of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101)."""
    max_gradient_norm: PositiveFloat = 1.0
    ema_decay: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Of the moving average of the weights, which is the result; 0 takes the last weights."""
    seed: NonNegativeInt = 0
    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints."""
    evaluate_every: PositiveInt = 200
    log_every: PositiveInt = 10


def step_seed(seed: int, step: int) -> int:
    """A seed of 63 bits for one step of one run, unrelated to those of its neighbours."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:8], "big") >> 1


def learning_rate_at(settings: LoopSettings, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class TrainingLoop:
    """One run of one stage in its directory."""

    def __init__(self, name: str, settings: LoopSettings, module: nn.Module, directory: Path) -> None:
        """Prepare optimiser and average; parameters that need no gradient are left alone."""
        self.name = name
        self.settings = settings
        self.module = module
        self.directory = directory
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )
        self.average = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        self.step = 0

    def run(self, batch_loss: BatchLoss, evaluate: Evaluate, *, resume: bool) -> None:
        """Train to the last step; afterwards the module holds the averaged weights, in evaluation mode.

        Raises:
            TrainingError: the loss is no finite number.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if resume and (self.directory / _CHECKPOINT).is_file():
            self._load()
        self._trim_log()
        started_s, settings = time.monotonic(), self.settings
        with progress_bar() as progress:
            task = progress.add_task(self.name, total=settings.steps, completed=self.step)
            while self.step < settings.steps:
                losses = self._one_step(batch_loss)
                self.step += 1
                last = self.step == settings.steps
                if self.step % settings.log_every == 0 or last:
                    self._log({key: round(float(value.detach()), 5) for key, value in losses.items()}, started_s)
                if self.step % settings.evaluate_every == 0 or last:
                    with self._averaged():
                        measures = {key: round(value, 5) for key, value in evaluate().items()}
                    self._log(measures, started_s)
                    progress.console.print(f"{self.name} step {self.step}: {measures}")
                if self.step % settings.checkpoint_every == 0 or last:
                    self._save()
                progress.update(task, completed=self.step)
        self.module.load_state_dict(self.average)
        self.module.eval()

    def _one_step(self, batch_loss: BatchLoss) -> Mapping[str, Tensor]:
        seed = step_seed(self.settings.seed, self.step)
        # Dropout draws from the global generator; batches draw from their own.
        torch.manual_seed(seed)
        rate = learning_rate_at(self.settings, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.module.train()
        losses = batch_loss(torch.Generator().manual_seed(seed), self.step)
        loss = losses["loss"]
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"{self.name}: the loss is {float(loss.detach())} at step {self.step}")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self._update_average()
        return losses

    @torch.no_grad()
    def _update_average(self) -> None:
        # The bound lets the average forget the untrained beginning.
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        for name, tensor in self.module.state_dict().items():
            if tensor.is_floating_point() and self.settings.ema_decay > 0:
                self.average[name].lerp_(tensor, 1 - decay)
            else:
                self.average[name].copy_(tensor)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The module with the averaged weights, in evaluation mode, without gradients."""
        live = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}
        self.module.load_state_dict(self.average)
        self.module.eval()
        with torch.no_grad():
            yield
        self.module.load_state_dict(live)

    def _save(self) -> None:
        state = {
            "step": self.step,
            "module": self.module.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        temporary = self.directory / f"{_CHECKPOINT}.new"
        torch.save(state, temporary)
        temporary.replace(self.directory / _CHECKPOINT)

    def _load(self) -> None:
        path = self.directory / _CHECKPOINT
        try:
            state = torch.load(path, map_location=next(self.module.parameters()).device, weights_only=True)
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = state["average"]
            self.step = int(state["step"])
        except (RuntimeError, KeyError, ValueError, EOFError, UnpicklingError) as error:
            raise TrainingError(f"{path} is not a checkpoint of this recipe: {error}") from error

    def _log(self, values: Mapping[str, float], started_s: float) -> None:
        append_log(self.directory, {"step": self.step, **values, "elapsed_s": round(time.monotonic() - started_s, 1)})

    def _trim_log(self) -> None:
        """Drop lines of steps that will be walked again, and a last line that was cut short."""
        path = self.directory / LOG_FILE
        if not path.is_file():
            return
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= self.step]
        write_whole(path, "".join(f"{line}\n" for line in kept if self.step > 0))


class _RateColumn(ProgressColumn):
    """Steps or items a second, over the last minute or so."""

    def render(self, task: Task) -> Text:
        """Render the rate, or nothing before it is known."""
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


def progress_bar() -> Progress:
    """A bar with count, rate, elapsed time and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        speed_estimate_period=60,
    )
