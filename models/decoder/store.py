"""Caption decoders on disk: config.json, projector.safetensors, and language_model/.

language_model/ is a whole model as transformers writes it, or reference.json, which names a released one, with the trained
adapter in adapter/ where there is one. Loading is strict: what is missing, damaged, unknown, misshapen or not finite is
refused with the file's name and the reason. The precision on disk says nothing of that in use.
"""

import copy
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from models.config_file import read_config, write_config
from models.decoder.adapter import adapter_of, apply_adapter, merge_adapter, read_adapter, write_adapter
from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.language_model import AnyLanguageModel
from models.decoder.reference import REFERENCE_FILE, LanguageModelReference, read_reference, write_reference
from models.errors import ArtifactError, SourceError
from models.pretrained import overflown, read_pretrained
from models.weights import read_weights, write_weights

_PROJECTOR_FILE = "projector.safetensors"
_LANGUAGE_MODEL_DIRECTORY = "language_model"
_ADAPTER_DIRECTORY = "adapter"


def save_decoder(
    decoder: CaptionDecoder, directory: Path, dtype: torch.dtype = torch.float32, *, merge: bool = False
) -> None:
    """Write the decoder into `directory`: trained weights as `dtype`, the embedding statistics and an adapter as float32.

    A language model that was made of a released one is written as a reference to it and the adapter, or with `merge` as a
    whole model that needs neither.

    Raises:
        ArtifactError: a weight of the language model is too large for `dtype`.
    """
    write_config(decoder.config, directory)
    write_weights(decoder.projector, directory / _PROJECTOR_FILE, dtype)
    folder = directory / _LANGUAGE_MODEL_DIRECTORY
    if decoder.reference is None or merge:
        model = _whole_copy(decoder.language_model, dtype)
        if dtype == torch.float16 and (name := overflown(model)):
            raise ArtifactError(folder, f"{name} is too large for float16: write float32")
        model.save_pretrained(folder)
        decoder.tokenizer.save_pretrained(folder)
        return
    write_reference(decoder.reference, folder)
    adapter = adapter_of(decoder.language_model) or decoder.merged_adapter
    if adapter is not None:
        write_adapter(adapter, folder / _ADAPTER_DIRECTORY)


def find_reference(directory: Path) -> LanguageModelReference | None:
    """The reference to a released language model, of a decoder that has no whole one.

    Raises:
        ArtifactError: it is no reference.
    """
    folder = directory / _LANGUAGE_MODEL_DIRECTORY
    return read_reference(folder) if (folder / REFERENCE_FILE).is_file() else None


def load_decoder(directory: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> CaptionDecoder:
    """Read a decoder for inference: in evaluation mode, on `device`, any adapter merged.

    The language model's weights are `dtype`, the projector's float32: it is small, and embeddings differ in their last bits.

    Raises:
        ArtifactError: a file is missing, damaged, or not what the others need; or the released language model that it refers
            to cannot be had, or is not the one that it was trained on, or computes no finite numbers in fp16.
    """
    config = read_config(directory, DecoderConfig.model_validate_json)
    folder = directory / _LANGUAGE_MODEL_DIRECTORY
    reference = find_reference(directory)
    try:
        whole = folder if reference is None else reference.folder()
    except SourceError as error:
        raise ArtifactError(folder / REFERENCE_FILE, str(error)) from error
    model, tokenizer = read_pretrained(whole, AnyLanguageModel, dtype)
    adapter = None
    if reference is not None and reference.adapted:
        adapter = read_adapter(folder / _ADAPTER_DIRECTORY)
        try:
            apply_adapter(model, adapter)
        except (ValueError, OverflowError) as error:
            raise ArtifactError(folder / _ADAPTER_DIRECTORY, str(error)) from error
    try:
        decoder = CaptionDecoder(config, model, tokenizer)
    except ValueError as error:
        raise ArtifactError(folder, str(error)) from error
    decoder.reference, decoder.merged_adapter = reference, adapter
    read_weights(decoder.projector, directory / _PROJECTOR_FILE)
    decoder.to(device).eval().requires_grad_(False)
    if dtype == torch.float16 and not bool(decoder.loss(torch.zeros(1, config.dim, device=device), ["a"]).isfinite()):
        raise ArtifactError(folder, "overflows in fp16, as models that were trained in bf16 can: use bf16 or fp32")
    return decoder


def _whole_copy(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model as `dtype`, without an adapter; the very same where there is nothing to do."""
    if adapter_of(model) is not None:
        model = copy.deepcopy(model)
        merge_adapter(model)
    if model.dtype == dtype:
        return model
    # What `memo` has is not copied: a second set of the weights in their present size may not fit into memory.
    memo = {id(tensor): nn.Parameter(tensor.to(dtype), requires_grad=False) for tensor in model.parameters()}
    return copy.deepcopy(model, memo)
