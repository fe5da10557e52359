"""The memory plan: what an artifact's networks take, measured, and how large batches may be on a device of some size.

Each stage is run with two batch sizes; the difference is what an item takes. Only the KV cache is computed: it grows with
the tokens of a caption, and captions of full length would take minutes on a CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from models.audio import WINDOW_SAMPLES
from models.budgets import USUAL_TOKENS, Budgets, Cost, WritingCost
from models.errors import DeviceMemoryError
from models.live_memory import peak_bytes
from models.networks import Networks, count_parameters

_FEW, _MORE = 2, 6
"""Batch sizes to measure; a batch of one goes through kernels of its own."""
_OURS = 0.9
"""Share of a device's memory that is planned: the rest is lost between blocks that do not fit each other."""
_CONTEXT_BYTES = 512 * 1024**2
"""What CUDA and its libraries take for themselves, roughly; torch does not count it."""
_STAGES = 2
"""They compute at once, so each has its share."""
_CEILINGS = Budgets(windows=64, texts=256, embeddings=1_024, captions=256)
"""More is not known to be faster, and a batch must end in a time that others can wait for. Not measured on a GPU."""


@dataclass(frozen=True, slots=True)
class Part:
    """The weights of one network."""

    parameters: int
    weight_bytes: int

    @classmethod
    def of(cls, module: nn.Module) -> "Part":
        """Measure a network's parameters and buffers."""
        tensors = [*module.parameters(), *module.buffers()]
        return cls(count_parameters(module), sum(tensor.nbytes for tensor in tensors))


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What networks and batches take, in bytes."""

    encoder: Part
    bridge: Part
    decoder: Part
    window: Cost
    """Of audio, through the encoder."""
    text: Cost
    """As long as the text tower allows."""
    embedding: Cost
    """Through the bridge."""
    writing: WritingCost

    @property
    def weight_bytes(self) -> int:
        """Of all networks."""
        return sum(part.weight_bytes for part in (self.encoder, self.bridge, self.decoder))

    def budgets(self, memory: int) -> Budgets:
        """Say how large batches may be on a device with so many bytes of memory, while both stages compute at once.

        Raises:
            DeviceMemoryError: the weights do not fit, or one window or one caption beside them.
        """
        room = int((_OURS * memory - _CONTEXT_BYTES - self.weight_bytes) / _STAGES)
        caption = self.writing.caption(1, USUAL_TOKENS)
        fits = {
            name: min(ceiling, cost.fits(room))
            for name, ceiling, cost in (
                ("windows", _CEILINGS.windows, self.window),
                ("texts", _CEILINGS.texts, self.text),
                ("embeddings", _CEILINGS.embeddings, self.embedding),
                ("captions", _CEILINGS.captions, caption),
            )
        }
        if not all(fits.values()):
            raise DeviceMemoryError(self._too_small(memory, caption))
        return Budgets(**fits, tokens=fits["captions"] * USUAL_TOKENS, room=room, writing=self.writing)

    def _too_small(self, memory: int, caption: Cost) -> str:
        return (
            f"{_gib(memory)} of device memory are too little: the weights take {_gib(self.weight_bytes)}; a window takes "
            f"{_gib(self.window.fixed + self.window.each)} and a caption of {USUAL_TOKENS} tokens "
            f"{_gib(caption.fixed + caption.each)} while they are computed, at once; CUDA and gaps are left "
            f"{_gib(int(_CONTEXT_BYTES + (1 - _OURS) * memory))}. Use bf16, a smaller language model or a larger device"
        )


def measure_memory(networks: Networks) -> MemoryPlan:
    """Run every network at two batch sizes, and see what it takes."""
    clap, bridge, decoder, device = networks.clap, networks.bridge, networks.decoder, networks.device
    num_beams = decoder.config.num_beams
    text = "sound " * clap.max_text_tokens

    def embed(count: int) -> object:
        return clap.embed_audio(torch.zeros(count, WINDOW_SAMPLES, device=device))

    def write(count: int) -> object:
        # As many samples as beams: whichever of the two searches takes more is what counts.
        rows = torch.eye(count, decoder.dim, device=device)
        return decoder.generate(rows, seeds=range(count), candidates=1 + num_beams, max_new_tokens=1)

    caption = _cost(write, device)
    sequence = Cost(caption.fixed, -(-caption.each // num_beams))
    return MemoryPlan(
        encoder=Part.of(clap),
        bridge=Part.of(bridge),
        decoder=Part.of(decoder),
        window=_cost(embed, device),
        text=_cost(lambda count: clap.embed_texts([text] * count), device),
        embedding=_cost(lambda count: bridge(torch.eye(count, bridge.dim, device=device), range(count)), device),
        writing=WritingCost(num_beams, sequence, cache_bytes(decoder.language_model)),
    )


def cache_bytes(model: PreTrainedModel) -> int:
    """Bytes of KV cache that a token of one sequence takes; one layer's is there twice while it grows or is reordered."""
    # Of an encoder-decoder model, the decoder's.
    config: Any = model.config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_value_heads = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * (config.num_hidden_layers + 1) * key_value_heads * head_dim * model.dtype.itemsize)


def _cost(work: Callable[[int], object], device: torch.device) -> Cost:
    # What libraries keep from their first use on is no part of a batch.
    work(_FEW)
    few, more = (peak_bytes(partial(work, count), device) for count in (_FEW, _MORE))
    each = max(1, -(-(more - few) // (_MORE - _FEW)))
    return Cost(max(0, few - _FEW * each), each)


def _gib(count: int) -> str:
    return f"{count / 1024**3:.2f} GiB"
