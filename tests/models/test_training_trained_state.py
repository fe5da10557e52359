"""What a training changes: its parameters under all their names, its buffers, and no frozen weight."""

import pytest
import torch
from torch import nn

from models.training.trained_state import MovingAverage, load_trained_state, trained_state


class _Net(nn.Module):
    """A frozen base, a tied head, a buffer, and weights in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(2, 2).requires_grad_(False)
        self.tied_base = self.base
        self.head = nn.Linear(2, 2, bias=False).to(torch.bfloat16)
        self.tied_head = self.head
        self.norm = nn.BatchNorm1d(2)


_TRAINED = {
    "head.weight",
    "tied_head.weight",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
}


def test_it_is_trainable_parameters_and_buffers_under_all_names() -> None:
    assert trained_state(_Net()).keys() == _TRAINED


def test_what_was_kept_can_be_put_back_into_a_module_of_the_same_making() -> None:
    net, other = _Net(), _Net()
    base = other.base.weight.clone()
    load_trained_state(other, trained_state(net))
    assert torch.equal(other.head.weight, net.head.weight)
    assert torch.equal(other.base.weight, base)


@pytest.mark.parametrize("change", ["more", "less"])
def test_other_tensors_are_refused(change: str) -> None:
    state = trained_state(_Net())
    if change == "more":
        state["third.weight"] = torch.zeros(2, 2)
    else:
        del state["norm.bias"]
    with pytest.raises(ValueError, match=r"\['third\.weight'\]|\['norm\.bias'\]"):
        load_trained_state(_Net(), state)


def test_frozen_weights_among_them_are_passed_over() -> None:
    net = _Net()
    base = net.base.weight.clone()
    load_trained_state(net, {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()})
    assert torch.equal(net.base.weight, base)
    assert not net.head.weight.any()


def test_small_steps_of_half_precision_weights_add_up_in_the_average() -> None:
    net = _Net()
    with torch.no_grad():
        net.head.weight.fill_(1)
        average = MovingAverage(net, 0.999)
        net.head.weight.fill_(2)
    for _ in range(1000):
        average.update(10**6)
    assert average.tensors["head.weight"].dtype == torch.float32
    assert average.tensors["head.weight"].mean().item() == pytest.approx(2 - 0.999**1000, abs=1e-3)
    assert average.tensors["norm.num_batches_tracked"].dtype == torch.int64


def test_without_a_decay_the_last_weights_are_kept() -> None:
    net = _Net()
    average = MovingAverage(net, 0.0)
    with torch.no_grad():
        net.norm.weight.fill_(3)
        net.norm.running_mean.fill_(4)
    average.update(0)
    assert average.tensors["norm.weight"].tolist() == [3, 3]
    assert average.tensors["norm.running_mean"].tolist() == [4, 4]


def test_the_average_is_in_place_for_as_long_as_it_is_looked_at() -> None:
    net = _Net().train()
    average = MovingAverage(net, 0.5)
    with torch.no_grad():
        net.norm.weight.fill_(3)
    with average.in_place():
        assert net.norm.weight.tolist() == [1, 1]
        assert not net.training
        assert not torch.is_grad_enabled()
    assert net.norm.weight.tolist() == [3, 3]
