"""What a training changes of a module, and the moving average of it.

Frozen parameters are left out: whoever builds the module brings them, and a released language model of 7B parameters is
neither averaged nor written again with every checkpoint. Buffers count as changed: batch norm moves them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The module's trainable parameters and its buffers, by their names in the state dict; not copies."""
    # Shared parameters have several names, all of which the state dict holds.
    named = module.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in named if not parameter.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}


def load_trained_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what `trained_state` gave of a module of the same making.

    Frozen weights may be among it, as in checkpoints from before they were left out, and are passed over.

    Raises:
        ValueError: the names are not those that a training changes of this module.
        RuntimeError: a tensor is of another shape.
    """
    expected, known = trained_state(module).keys(), module.state_dict().keys()
    if wrong := (expected - state.keys()) | (state.keys() - known):
        raise ValueError(f"other tensors than the module trains: {sorted(wrong)[:4]}")
    module.load_state_dict({name: state[name] for name in expected}, strict=False)


class MovingAverage:
    """Exponential moving average of what is trained, at least in float32; a decay of 0 keeps the last weights."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Begin with the weights as they are."""
        self.module = module
        self.decay = decay
        # In half precision, a step of 1 - decay would be rounded away.
        self.tensors = {name: tensor.to(_wide(tensor), copy=True) for name, tensor in trained_state(module).items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after a step."""
        # The bound lets the average forget the untrained beginning.
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in trained_state(self.module).items():
            if tensor.is_floating_point() and self.decay > 0:
                self.tensors[name].lerp_(tensor.to(_wide(tensor)), 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module with the averaged weights, in evaluation mode, without gradients."""
        live = {name: tensor.clone() for name, tensor in trained_state(self.module).items()}
        load_trained_state(self.module, self.tensors)
        self.module.eval()
        with torch.no_grad():
            yield
        load_trained_state(self.module, live)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32) if tensor.is_floating_point() else tensor.dtype
