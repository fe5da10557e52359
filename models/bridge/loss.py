"""What the bridge is trained for: cross-sample prediction and topology.

The names are the paper's, the formulae our reconstruction. All vectors here are already centred and scaled to norm
sqrt(dim), so that predicting zero costs about 1 a term.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, model_validator
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import FrozenConfig
from models.bridge.schedule import CosineSchedule

Denoise = Callable[[Float[Tensor, "batch dim"], Int[Tensor, " batch"]], Float[Tensor, "batch dim"]]
"""f(z_k, k) → clean text vector."""


class LossConfig(FrozenConfig):
    """Weights of the terms."""

    text_weight: NonNegativeFloat = 1.0
    """w_t of the text's own term; 0: only the audio term remains, a noised regression."""
    audio_weight: NonNegativeFloat = 1.0
    """w_a of the cross-sample term; 0 makes a text-only diffusion model."""
    topology_weight: NonNegativeFloat = 1.0
    """λ of the topology term."""

    @model_validator(mode="after")
    def _something(self) -> "LossConfig":
        if self.text_weight + self.audio_weight <= 0:
            raise ValueError("one of text_weight and audio_weight must be above 0")
        return self


@dataclass(frozen=True, slots=True)
class NoisedPairs:
    """One draw for a batch: row i of text and audio are noised to the same step k[i], each with noise of its own."""

    k: Int[Tensor, " batch"]
    text_noise: Float[Tensor, "batch dim"]
    audio_noise: Float[Tensor, "batch dim"]


@dataclass(frozen=True, slots=True)
class BridgeLoss:
    """The loss and its parts, each a scalar; `total` is the one to differentiate."""

    total: Float[Tensor, ""]
    text: Float[Tensor, ""]
    audio: Float[Tensor, ""]
    topology: Float[Tensor, ""]


def draw_noise(text: Float[Tensor, "batch dim"], num_steps: int, generator: torch.Generator) -> NoisedPairs:
    """Draw noise and, uniformly from 1 … T, a step for each pair: on the generator's device, then moved to `text`'s."""
    device, (batch, dim) = generator.device, text.shape
    k = torch.randint(1, num_steps + 1, (batch,), generator=generator, device=device)
    noise = torch.randn(2, batch, dim, generator=generator, device=device).to(text)
    return NoisedPairs(k=k.to(text.device), text_noise=noise[0], audio_noise=noise[1])


def topology_loss(predictions: Float[Tensor, "batch dim"], texts: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    """Mean over pairs i ≠ j of (P Pᵀ - T Tᵀ)²_ij, with rows of P and T normalised; zero for a batch of one."""
    p, t = functional.normalize(predictions, dim=1), functional.normalize(texts, dim=1)
    batch = len(p)
    difference = (p @ p.T - t @ t.T).masked_fill(torch.eye(batch, dtype=torch.bool, device=p.device), 0.0)
    return difference.square().sum() / max(batch * (batch - 1), 1)


def bridge_loss(
    denoise: Denoise,
    schedule: CosineSchedule,
    config: LossConfig,
    audio: Float[Tensor, "batch dim"],
    text: Float[Tensor, "batch dim"],
    noised: NoisedPairs,
) -> BridgeLoss:
    """L = w_t |f(t_k, k) - t|² + w_a |f(a_k, k) - t|² + λ L_topo; the design has w_t = 1.

    Squared norms are means over batch and coordinates, so that weights mean the same at every width. L_topo is the mean
    of the topology losses of the two predictions, weighted w_t and w_a like the terms they stand beside. A term of
    weight 0 is not computed: its modality is not looked at.
    """
    zero = text.new_zeros(())
    weights = (config.text_weight, config.audio_weight)
    losses, topology = [zero, zero], zero
    for index, (weight, start, noise) in enumerate(
        zip(weights, (text, audio), (noised.text_noise, noised.audio_noise), strict=True)
    ):
        if weight > 0:
            predicted = denoise(schedule.q_sample(start, noised.k, noise), noised.k)
            losses[index] = functional.mse_loss(predicted, text)
            topology = topology + weight * topology_loss(predicted, text) / sum(weights)
    total = weights[0] * losses[0] + weights[1] * losses[1] + config.topology_weight * topology
    return BridgeLoss(total=total, text=losses[0], audio=losses[1], topology=topology)
