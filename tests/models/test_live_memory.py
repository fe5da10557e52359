"""Bytes that tensors take at their peak: what is made counts until nothing holds it, what was there does not."""

import pytest
import torch
from torch.nn import functional

from models.live_memory import peak_bytes

_CPU = torch.device("cpu")
_FLOATS = 1_000
_BYTES = 4 * _FLOATS


def test_a_tensor_counts_until_nothing_holds_it() -> None:
    def work() -> None:
        one = torch.zeros(_FLOATS)
        two = one + 1
        del one
        three = two * 2
        # A view is no new memory; what is made of it is.
        three.view(10, 100).t().contiguous()

    assert peak_bytes(work, _CPU) == 3 * _BYTES


def test_what_was_there_before_does_not_count() -> None:
    weights, buffer = torch.zeros(_FLOATS, _FLOATS), torch.zeros(_FLOATS)

    def work() -> None:
        functional.linear(torch.ones(2, _FLOATS), weights)
        for _ in range(10):
            buffer.add_(1)

    assert peak_bytes(work, _CPU) == 2 * 2 * _BYTES


def test_many_short_lives_are_one_peak() -> None:
    def work() -> None:
        for _ in range(200):
            torch.zeros(_FLOATS)

    assert peak_bytes(work, _CPU) == _BYTES
    assert peak_bytes(lambda: [torch.zeros(_FLOATS) for _ in range(200)], _CPU) == 200 * _BYTES


def test_what_a_composite_operation_makes_in_between_is_seen() -> None:
    queries = torch.randn(1, 1, 64, 8)
    mask = torch.zeros(64, 64, dtype=torch.bool)
    # Attention turns a mask of truths into one of numbers, 4 bytes each; only the output, 2 KiB, comes out.
    assert peak_bytes(lambda: functional.scaled_dot_product_attention(queries, queries, queries, mask), _CPU) > 4 * 64 * 64


def test_no_gradients_are_kept() -> None:
    weights = torch.zeros(_FLOATS, requires_grad=True)

    def work() -> None:
        product = weights
        for _ in range(50):
            product = (product * 2).exp()
        assert not product.requires_grad

    assert peak_bytes(work, _CPU) == 3 * _BYTES


def test_an_error_is_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="size"):
        peak_bytes(lambda: torch.zeros(2) + torch.zeros(3), _CPU)
    assert peak_bytes(lambda: torch.zeros(_FLOATS), _CPU) == _BYTES


@pytest.mark.cuda
def test_a_gpu_s_allocator_is_asked() -> None:
    device = torch.device("cuda", 0)
    there = torch.zeros(2**20, device=device)

    def work() -> None:
        one = torch.zeros(2**22, device=device)
        two = one + 1
        del one
        two + 1

    assert peak_bytes(work, device) == 2 * 4 * 2**22
    assert there.sum() == 0
