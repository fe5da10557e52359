"""Filling a `ClapModel` from a released checkpoint: all of its tensors and no others, finite, and of its shapes.

Releases differ in one thing only: whether they hold the tables that follow from the sizes, as positions do.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import ClapModel

from models.errors import SourceError
from models.pretrained import is_finite

_COMPUTED = ("position_ids", "token_type_ids", "relative_position_index")


def fill_clap(model: ClapModel, state: Mapping[str, Tensor]) -> None:
    """Copy the tensors into the model, as float32.

    Raises:
        SourceError: one is missing, unknown, of another shape, or not finite; or a table is not what the sizes say.
    """
    own = model.state_dict()
    computed = {name for name in own if name.endswith(_COMPUTED)}
    faults = [f"it lacks {name}" for name in sorted(own.keys() - state.keys() - computed)]
    faults += [f"it holds {name}, which is unknown" for name in sorted(state.keys() - own.keys())]
    faults += [fault for name in sorted(own.keys() & state.keys()) if (fault := _fault(name, state[name], own[name]))]
    if faults:
        more = f" and {len(faults) - 5} faults more" if len(faults) > 5 else ""
        raise SourceError(f"the checkpoint does not fit a CLAP of its sizes: {'; '.join(faults[:5])}{more}")
    model.load_state_dict({name: own[name] if name in computed else state[name] for name in own})


def _fault(name: str, tensor: Tensor, own: Tensor) -> str | None:
    if tensor.shape != own.shape:
        return f"{name} has shape {tuple(tensor.shape)}, expected {tuple(own.shape)}"
    if name.endswith(_COMPUTED) and not torch.equal(tensor, own):
        return f"{name} is not the table that is computed from the sizes"
    if own.is_floating_point() and not is_finite(tensor):
        return f"{name} holds what is not a number"
    return None
