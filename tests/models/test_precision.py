"""Words for floating-point formats: resolved for a device, refused with a reason, and said again."""

import pytest
import torch

from models.errors import DeviceError
from models.precision import precision_name, resolve_precision

_CPU, _GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    has_bfloat16: bool = request.param
    capabilities = {_GPU: (8, 0) if has_bfloat16 else (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[device])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old Card")
    return has_bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_name_and_its_dtype(dtype: torch.dtype) -> None:
    assert resolve_precision(precision_name(dtype), _CPU) == dtype


@pytest.mark.parametrize("gpu", [True], indirect=True)
def test_auto_is_bfloat16_on_a_gpu_that_has_it(gpu: bool) -> None:
    assert resolve_precision("auto", _GPU) == torch.bfloat16
    assert resolve_precision("auto", _CPU) == torch.float32
    assert resolve_precision("auto", torch.device("mps")) == torch.float32
    assert resolve_precision("fp32", _GPU) == torch.float32


@pytest.mark.parametrize("gpu", [False], indirect=True)
def test_a_gpu_without_bfloat16(gpu: bool) -> None:
    assert resolve_precision("auto", _GPU) == torch.float32
    assert resolve_precision("fp16", _GPU) == torch.float16
    with pytest.raises(DeviceError, match="bf16 is not to be had on Old Card; use fp16 or fp32"):
        resolve_precision("bf16", _GPU)


@pytest.mark.parametrize("word", ["", "float32", "BF16", "fp8", "bf16 "])
def test_a_word_that_is_no_precision_is_refused(word: str) -> None:
    with pytest.raises(DeviceError, match="use auto, fp32, bf16, fp16"):
        resolve_precision(word, _CPU)
