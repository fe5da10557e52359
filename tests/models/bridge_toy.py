"""A gap that is known: texts about a few topics; audio is the text of its pair turned by a rotation, shifted and blurred."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.bridge.interface import Bridge
from models.bridge.learned import LearnedBridge

DIM = 16
TOPICS = 40


@dataclass(frozen=True)
class ToyPairs:
    """Pairs of unit embeddings, and what each is about."""

    audio: Tensor
    text: Tensor
    topic: Tensor


def toy_pairs(seed: int, count: int = 600, *, turn: float = 1.0, shift: float = 0.7, blur: float = 0.05) -> ToyPairs:
    """Draw pairs; topics, rotation and shift are the same for every seed."""
    fixed, generator = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    topics = functional.normalize(torch.randn(TOPICS, DIM, generator=fixed), dim=1)
    square = torch.randn(DIM, DIM, generator=fixed)
    rotation = torch.linalg.matrix_exp(turn * (square - square.T) / DIM**0.5)
    direction = functional.normalize(torch.randn(DIM, generator=fixed), dim=0)
    topic = torch.randint(TOPICS, (count,), generator=generator)
    text = topics[topic]
    audio = text @ rotation + shift * direction + blur * torch.randn(count, DIM, generator=generator)
    return ToyPairs(functional.normalize(audio, dim=1), text, topic)


def train(bridge: LearnedBridge, pairs: ToyPairs, steps: int, learning_rate: float = 3e-3) -> None:
    """Train on random batches; always the same ones."""
    optimiser = torch.optim.AdamW(bridge.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(1)
    bridge.train()
    for _ in range(steps):
        rows = torch.randint(len(pairs.audio), (128,), generator=generator)
        optimiser.zero_grad()
        torch.autograd.backward(bridge.losses(pairs.audio[rows], pairs.text[rows], generator)["loss"])
        torch.nn.utils.clip_grad_norm_(bridge.parameters(), 1.0)
        optimiser.step()
    bridge.eval()


@torch.no_grad()
def measure(bridge: Bridge, pairs: ToyPairs) -> tuple[float, float]:
    """Mean paired cosine, and how often the nearest text is about the right topic."""
    cosines = bridge(pairs.audio, range(len(pairs.audio))) @ pairs.text.T
    right = pairs.topic[cosines.argmax(dim=1)] == pairs.topic
    return float(cosines.diagonal().mean()), float(right.float().mean())
