"""What the bridge is trained for: cross-sample prediction and topology.

The names are the paper's, the formulae our reconstruction. All vectors here are already centred and scaled to norm
sqrt(dim), so that predicting zero costs about 1 a term.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import FrozenConfig
from models.bridge.schedule import CosineSchedule

Denoise = Callable[[Float[Tensor, "batch dim"], Int[Tensor, " batch"]], Float[Tensor, "batch dim"]]
"""f(z_k, k) → clean text vector."""


class LossConfig(FrozenConfig):
    """Weights of the terms."""

    audio_weight: NonNegativeFloat = 1.0
    """w_a of the cross-sample term; 0 makes a text-only diffusion model."""
    topology_weight: NonNegativeFloat = 1.0
    """λ of the topology term."""


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
    """L = |f(t_k, k) - t|² + w_a |f(a_k, k) - t|² + λ L_topo.

    Squared norms are means over batch and coordinates, so that weights mean the same at every width. L_topo is the mean
    of the topology losses of the two predictions, weighted 1 and w_a like the terms they stand beside. With w_a = 0 the
    audio is not looked at.
    """
    predicted_text = denoise(schedule.q_sample(text, noised.k, noised.text_noise), noised.k)
    text_loss = functional.mse_loss(predicted_text, text)
    topology = topology_loss(predicted_text, text)
    audio_loss = torch.zeros_like(text_loss)
    w_a = config.audio_weight
    if w_a > 0:
        predicted_audio = denoise(schedule.q_sample(audio, noised.k, noised.audio_noise), noised.k)
        audio_loss = functional.mse_loss(predicted_audio, text)
        topology = (topology + w_a * topology_loss(predicted_audio, text)) / (1 + w_a)
    total = text_loss + w_a * audio_loss + config.topology_weight * topology
    return BridgeLoss(total=total, text=text_loss, audio=audio_loss, topology=topology)
