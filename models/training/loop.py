"""The training loop of every stage: steps, learning rate, precision, averaging, log, checkpoints.

Everything random in a step comes from (seed, step) alone, so that the step is all the state that sampling has; a checkpoint
holds the rest that outlives a step. So a run that was killed anywhere and resumed ends with the same weights as an unbroken
one. Gradients of a batch's shares are summed, over micro-batches and processes, before they are clipped and applied.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from models.errors import TrainingError
from models.output import say
from models.precision import resolve_precision
from models.training.folders import LOG_FILE, append_log, write_whole
from models.training.processes import Processes, Share
from models.training.progress import progress_bar
from models.training.trained_state import MovingAverage, load_trained_state, trained_state

BatchLoss = Callable[[torch.Generator, int, Share], Mapping[str, Tensor]]
"""Losses of a share of one step's batch, which is drawn whole with the step's generator; `loss` is the one to
differentiate. Those of all shares are summed, so each is normalised by the whole batch.
"""
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
    # Left out of a dump where they are what they were before they existed: runs begun then can go on, and be used.
    accumulation: PositiveInt = Field(default=1, exclude_if=lambda value: value == 1)
    """Micro-batches that each process computes its share of a batch in, one after the other, to save memory."""
    precision: Literal["fp32", "bf16", "fp16"] = Field(default="fp32", exclude_if=lambda value: value == "fp32")
    """What networks compute in (autocast); the trained weights, their gradients and their average stay float32."""


def step_seed(seed: int, step: int) -> int:
    """A seed of 63 bits for one step of one run, unrelated to those of its neighbours."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:8], "big") >> 1


def learning_rate_at(settings: LoopSettings, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def refuse_division(stage: str, settings: LoopSettings) -> None:
    """Check the settings of a stage whose losses compare all rows of a batch, and that chooses its precision itself.

    Raises:
        TrainingError: they ask for micro-batches, or for a precision.
    """
    if settings.accumulation > 1:
        reason = "its losses compare all rows of a batch with one another, so that a batch cannot be divided"
        raise TrainingError(f"{stage} cannot do with loop.accumulation = {settings.accumulation}: {reason}")
    if settings.precision != "fp32":
        raise TrainingError(f"{stage} chooses its precision itself: leave out loop.precision")


class TrainingLoop:
    """One run of one stage in its directory, shared by several processes or not.

    Buffers that a forward pass changes would be each process's own; no module of a shared stage has any.
    """

    def __init__(
        self, name: str, settings: LoopSettings, module: nn.Module, directory: Path, processes: Processes | None = None
    ) -> None:
        """Prepare optimiser and average; parameters that need no gradient are left alone.

        Raises:
            DeviceError: the device has no arithmetic of the precision asked for.
        """
        self.name = name
        self.settings = settings
        self.module = module
        self.directory = directory
        self.processes = processes or Processes(next(module.parameters()).device)
        self.dtype = resolve_precision(settings.precision, self.processes.device)
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
                {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )
        # Small gradients are zero in float16 unless the loss is scaled up (Micikevicius et al. 2018, arXiv 1710.03740).
        self.scaler = torch.amp.GradScaler(self.processes.device.type, enabled=self.dtype == torch.float16)
        self.processes.begin_alike(trained_state(module).values())
        self.average = MovingAverage(module, settings.ema_decay)
        self.step = 0

    def run(self, batch_loss: BatchLoss, evaluate: Evaluate, *, resume: bool) -> None:
        """Train to the last step; afterwards the module holds the averaged weights, in evaluation mode.

        Every process measures by `evaluate`, the same figures at the same time; the main one alone writes and prints.

        Raises:
            TrainingError: the loss is no finite number.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if resume and (self.directory / _CHECKPOINT).is_file():
            self._load()
        self._trim_log()
        started_s, settings = time.monotonic(), self.settings
        with progress_bar(shown=self.processes.is_main) as progress:
            task = progress.add_task(self.name, total=settings.steps, completed=self.step)
            while self.step < settings.steps:
                losses = self._one_step(batch_loss)
                self.step += 1
                last = self.step == settings.steps
                if self.step % settings.log_every == 0 or last:
                    self.processes.add_up(losses.values())
                    self._log({key: round(float(value), 5) for key, value in losses.items()}, started_s)
                if self.step % settings.evaluate_every == 0 or last:
                    with self.average.in_place(), self._autocast():
                        measures = {key: round(value, 5) for key, value in evaluate().items()}
                    self._log(measures, started_s)
                    if self.processes.is_main:
                        say(f"{self.name} step {self.step}: {measures}", run=self.name, step=self.step, measures=measures)
                if self.step % settings.checkpoint_every == 0 or last:
                    self._save()
                progress.update(task, completed=self.step)
        load_trained_state(self.module, self.average.tensors)
        self.module.eval()

    def _one_step(self, batch_loss: BatchLoss) -> dict[str, Tensor]:
        """Learn from one batch; return the losses of what this process had of it."""
        rate = learning_rate_at(self.settings, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.module.train()
        self.optimizer.zero_grad()
        parts = range(self.settings.accumulation)
        losses = [self._add_gradients(batch_loss, self.processes.share(part, len(parts))) for part in parts]
        self.processes.add_up(parameter.grad for parameter in self.parameters if parameter.grad is not None)
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_gradient_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.step)
        return {name: torch.stack([share[name] for share in losses]).sum() for name in losses[0]}

    def _add_gradients(self, batch_loss: BatchLoss, share: Share) -> dict[str, Tensor]:
        """Add the gradients of one share of the batch to those that are there; return its losses."""
        seed = step_seed(self.settings.seed, self.step)
        # Dropout draws from the global generator, other numbers for each share; batches draw from their own.
        torch.manual_seed(seed if share.index == 0 else step_seed(seed, share.index))
        with self._autocast():
            losses = batch_loss(torch.Generator().manual_seed(seed), self.step, share)
        loss = losses["loss"]
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"{self.name}: the loss is {float(loss.detach())} at step {self.step}")
        torch.autograd.backward(self.scaler.scale(loss))
        return {name: value.detach() for name, value in losses.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.processes.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _save(self) -> None:
        if not self.processes.is_main:
            return
        state = {
            "step": self.step,
            "module": trained_state(self.module),
            "average": self.average.tensors,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        temporary = self.directory / f"{_CHECKPOINT}.new"
        torch.save(state, temporary)
        temporary.replace(self.directory / _CHECKPOINT)

    def _load(self) -> None:
        path = self.directory / _CHECKPOINT
        try:
            # To the CPU: all goes where it belongs from there, and AdamW's counts of steps, read one by one, stay there.
            state = torch.load(path, map_location="cpu", weights_only=True)
            load_trained_state(self.module, state["average"])
            load_trained_state(self.module, state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            # Checkpoints from before there was a choice of precision have none.
            self.scaler.load_state_dict(state.get("scaler", {}))
            for name, tensor in self.average.tensors.items():
                tensor.copy_(state["average"][name])
            self.step = int(state["step"])
        except (RuntimeError, KeyError, ValueError, EOFError, UnpicklingError) as error:
            raise TrainingError(f"{path} is not a checkpoint of this recipe: {error}") from error

    def _log(self, values: Mapping[str, float], started_s: float) -> None:
        if self.processes.is_main:
            append_log(self.directory, {"step": self.step, **values, "elapsed_s": round(time.monotonic() - started_s, 1)})

    def _trim_log(self) -> None:
        """Drop lines of steps that will be walked again, and a last line that was cut short."""
        path = self.directory / LOG_FILE
        if not self.processes.is_main or not path.is_file():
            return
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= self.step]
        write_whole(path, "".join(f"{line}\n" for line in kept if self.step > 0))
