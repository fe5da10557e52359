"""Reading of transformers directories that may be damaged: strict, local, safetensors only, no code from the directory.

The CLAP encoder and the language model both come through here, whatever their size.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from models.errors import ArtifactError

# transformers draws a bar for every file that it reads or writes, in between our logs and our own bars.
transformers_logging.disable_progress_bar()

_JSON_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
_ADAPTER_FILE = "adapter_config.json"
_WEIGHTS_FILE, _INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
_PLAIN_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_pretrained(
    directory: Path, model_class: Any, dtype: torch.dtype = torch.float32
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Read a model, its weights as `dtype`, and its tokenizer; `model_class` is any with transformers' `from_pretrained`.

    Weights may be one file or several shards; they are held once.

    Raises:
        ArtifactError: a file is missing or damaged, or the weights are not exactly the model's.
    """
    _check_files(directory)
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        model, report = model_class.from_pretrained(
            directory,
            local_files_only=True,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
        )
    # transformers raises whatever its model and tokenizer classes happen to raise on files that do not fit together.
    except Exception as error:
        raise ArtifactError(directory, f"transformers cannot load it: {error}") from error
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if report[fault]:
            raise ArtifactError(directory, f"weights do not fit, {fault}: {sorted(map(str, report[fault]))}")
    if dtype == torch.float16 and (name := overflown(model)):
        raise ArtifactError(directory, f"{name} is too large for fp16: use bf16 or fp32")
    return model, tokenizer


def is_finite(tensor: Tensor) -> bool:
    """Whether these are finite numbers as they stand; those of 8 bits and less need scales that stand elsewhere."""
    return tensor.dtype in _PLAIN_DTYPES and bool(torch.isfinite(tensor).all())


def overflown(model: nn.Module) -> str | None:
    """The name of a weight that became infinite in the precision that it was brought to, if any did."""
    weights = (named for named in model.named_parameters() if named[1].is_floating_point())
    return next((name for name, weight in weights if not is_finite(weight)), None)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: it is missing, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(path, f"is not JSON: {error}") from error


def _check_files(directory: Path) -> None:
    """Refuse a directory in which a file is missing, is not what its name says, or holds a number that is none."""
    for name in _JSON_FILES:
        read_json(directory / name)
    if (directory / _ADAPTER_FILE).exists():
        # transformers would follow it to whatever base model it names.
        raise ArtifactError(directory / _ADAPTER_FILE, "is an adapter's, where a whole model is expected")
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        raise ArtifactError(directory / _WEIGHTS_FILE, "is missing")
    for path in weights:
        _check_weights(path)
    _check_index(directory, [path.name for path in weights])


def _check_index(directory: Path, checked: list[str]) -> None:
    """Refuse an index of shards that leads to files elsewhere, or to pickled ones: transformers would follow it."""
    path = directory / _INDEX_FILE
    if _WEIGHTS_FILE in checked or not path.exists():
        return
    content = read_json(path)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not all(name in checked for name in shards.values()):
        raise ArtifactError(path, "names other files than the safetensors beside it")


def _check_weights(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.offset_keys():
                tensor = tensors.get_tensor(name)
                counts = not (tensor.is_floating_point() or tensor.is_complex())
                if not counts and not is_finite(tensor):
                    raise ArtifactError(path, f"{name} holds NaN, infinity, or numbers of 8 bits or less")
    except (OSError, SafetensorError) as error:
        raise ArtifactError(path, f"not a readable safetensors file: {error}") from error
