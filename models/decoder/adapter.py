"""LoRA adapters (Hu et al. 2021, arXiv 2106.09685) through peft: put into a language model, stored as peft does, merged.

Plain LoRA only: a rank, a scale and the names of the layers. What else an adapter_config.json can ask of peft (other kinds
of adapters, modules to import, computed beginnings) is refused, since it comes from outside.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from models.errors import ArtifactError, validation_faults
from models.pretrained import is_finite, read_json

_CONFIG_FILE = "adapter_config.json"
_WEIGHTS_FILE = "adapter_model.safetensors"
_PEFT_PREFIX = "base_model.model."
"""Before every name in peft's files: the wrapper that peft loads them into."""
_INFORMATION = {"peft_version", "base_model_name_or_path", "revision", "task_type", "inference_mode", "auto_mapping"}
"""Settings that change nothing of what is computed."""
_DERIVED = "fan_in_fan_out"
"""Which way round GPT-2 stores its weights: read off the model, not off the file."""


class LoraSettings(BaseModel):
    """Size and place of an adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: PositiveInt = 8
    alpha: PositiveInt = 32
    """What is learned is scaled by alpha / rank."""
    targets: tuple[str, ...] = Field(default=("q_proj", "v_proj"), min_length=1)
    """Names of the linear layers that learn."""
    dropout: float = Field(default=0.05, ge=0.0, lt=1.0)

    def to_peft(self) -> LoraConfig:
        """The same in peft's words."""
        return LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=list(self.targets), lora_dropout=self.dropout)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained adapter apart from its language model."""

    settings: LoraSettings
    tensors: dict[str, Tensor]
    """By peft's names within the language model."""


def add_lora(model: PreTrainedModel, settings: LoraSettings) -> None:
    """Freeze a language model and put an adapter into it that changes nothing yet; its weights are float32 and learn.

    Raises:
        ValueError: the model has no linear layer of one of the target names, or one that is its table of tokens, too.
    """
    linear = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear | Conv1D)}
    hit = {target: [name for name in linear if f".{name}".endswith(f".{target}")] for target in settings.targets}
    if missing := [target for target, found in hit.items() if not found]:
        raise ValueError(f"the language model has no linear layer named {', '.join(missing)}")
    layers = {name: linear[name] for found in hit.values() for name in found}
    table: Any = model.get_input_embeddings()
    if tied := [name for name, layer in layers.items() if layer.weight is table.weight]:
        # Merged, what was learned for the one would change the other, too.
        raise ValueError(f"{', '.join(tied)} shares its weights with the embeddings of the tokens, and cannot be a target")
    config = settings.to_peft()
    config.fan_in_fan_out = any(isinstance(layer, Conv1D) for layer in layers.values())
    model.requires_grad_(False)
    inject_adapter_in_model(config, model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            # peft gives them the dtype of their layer, too coarse for small steps where that is half precision.
            parameter.data = parameter.data.float()


def adapter_of(model: PreTrainedModel) -> Adapter | None:
    """The adapter that a language model holds unmerged, as copies on the CPU; nothing where there is none."""
    config: LoraConfig | None = getattr(model, "peft_config", {}).get("default")
    if config is None:
        return None
    settings = LoraSettings(
        rank=config.r,
        alpha=config.lora_alpha,
        targets=tuple(sorted(config.target_modules or ())),
        dropout=config.lora_dropout,
    )
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    return Adapter(settings, {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()})


def apply_adapter(model: PreTrainedModel, adapter: Adapter) -> None:
    """Add a trained adapter to the weights of the language model that it was trained for.

    Raises:
        ValueError: it does not fit the model, or makes weights that are not finite.
    """
    add_lora(model, adapter.settings)
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    if other := sorted(expected.keys() ^ adapter.tensors.keys()):
        raise ValueError(f"its tensors are not those of this language model: {', '.join(other[:4])}")
    for name, tensor in adapter.tensors.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
    set_peft_model_state_dict(model, adapter.tensors)
    merge_adapter(model)


def merge_adapter(model: PreTrainedModel) -> None:
    """Add the adapter that the model holds to its weights, and leave the model without it, as it was built.

    Raises:
        ValueError: a sum is not finite.
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, layer in layers:
        layer.merge(safe_merge=True)
        model.set_submodule(name, layer.get_base_layer())
    if layers:
        del model.peft_config


def write_adapter(adapter: Adapter, directory: Path) -> None:
    """Write what peft reads; not by peft itself, which adds a model card and orders the targets at random."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = _as_json(adapter.settings.to_peft()) | {"inference_mode": True}
    (directory / _CONFIG_FILE).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {f"{_PEFT_PREFIX}{name}": tensor.contiguous() for name, tensor in adapter.tensors.items()}
    save_file(tensors, directory / _WEIGHTS_FILE, metadata={"format": "pt"})


def read_adapter(directory: Path) -> Adapter:
    """Read an adapter as peft stores it.

    Raises:
        ArtifactError: a file is missing or damaged, or it is no plain LoRA adapter.
    """
    path = directory / _WEIGHTS_FILE
    settings = _read_settings(directory / _CONFIG_FILE)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(path, f"not a readable safetensors file: {error}") from error
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise ArtifactError(path, f"{name} holds something else than finite numbers")
        if settings.rank not in tensor.shape:
            # Before so large a one is made.
            raise ArtifactError(path, f"{name} has shape {tuple(tensor.shape)}, which is not of rank {settings.rank}")
    return Adapter(settings, {name.removeprefix(_PEFT_PREFIX): tensor for name, tensor in tensors.items()})


def _read_settings(path: Path) -> LoraSettings:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ArtifactError(path, "does not hold an object")
    words = {"rank": "r", "alpha": "lora_alpha", "targets": "target_modules", "dropout": "lora_dropout"}
    try:
        settings = LoraSettings.model_validate({ours: content.get(peft) for ours, peft in words.items()})
    except ValidationError as error:
        raise ArtifactError(path, "; ".join(validation_faults(error))) from error
    plain = _as_json(settings.to_peft())
    given = content.keys() - _INFORMATION - {_DERIVED, "target_modules"}
    if other := sorted(name for name in given if name not in plain or content[name] != plain[name]):
        raise ArtifactError(path, f"is no plain LoRA adapter: {', '.join(other)}")
    return settings


def _as_json(config: LoraConfig) -> dict[str, Any]:
    """Peft's settings as its files hold them, in an order that does not change from run to run."""
    fields: Any = config
    content: dict[str, Any] = json.loads(json.dumps(fields.to_dict(), default=sorted))
    return content
