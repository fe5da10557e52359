"""What laion-clap itself makes of a checkpoint: the measure of our own reading of it. The one file that imports laion-clap.

Only `convert clap` comes through here, and only where the extra `laion` is installed. Encoders are never served through
laion-clap: it needs NumPy 1, asks the hub for tokenizers that it does not use, and crops long audio at random.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from unittest import mock

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import ClapConfig, PreTrainedModel, PreTrainedTokenizerBase, RobertaConfig, RobertaModel

from models.audio import WINDOW_SAMPLES
from models.clap.encoder import ClapEncoder

_NAMES = {96: "HTSAT-tiny", 128: "HTSAT-base", 256: "HTSAT-large"}
"""Its audio towers by the width of their patches."""
_TEXT_DIM, _DIM = 768, 512
"""Widths that are written into its code: of RoBERTa, and of the embeddings."""


class NotCheckedError(Exception):
    """laion-clap is not there, or has no model of these sizes."""


def laion_agreement(encoder: ClapEncoder, state: Mapping[str, Tensor]) -> tuple[float, float]:
    """Embed a synthetic sound and a text through laion-clap and through ours; the cosines, of audio and of text.

    Args:
        encoder: our reading of the checkpoint, on the CPU.
        state: the checkpoint's tensors under LAION's names.

    Raises:
        NotCheckedError: laion-clap is not installed, or has no model of these sizes.
    """
    generator = torch.Generator().manual_seed(0)
    time_s = torch.linspace(0, 10, WINDOW_SAMPLES)
    sound = 0.3 * torch.sin(2 * torch.pi * 440 * time_s) + 0.05 * torch.randn(WINDOW_SAMPLES, generator=generator)
    texts = ["a dog barks while rain is falling"]
    audio, text = reference_embeddings(encoder, state, [sound], texts)
    with torch.inference_mode():
        ours_audio, ours_text = encoder.embed_audio(sound.unsqueeze(0)), encoder.embed_texts(texts)
    return float((audio * ours_audio).sum()), float((text * ours_text).sum())


@torch.inference_mode()
def reference_embeddings(
    encoder: ClapEncoder,
    state: Mapping[str, Tensor],
    waveforms: Sequence[Float[Tensor, " _"]],
    texts: Sequence[str],
    *,
    int16: bool = False,
) -> tuple[Float[Tensor, "waveforms dim"], Float[Tensor, "texts dim"]]:
    """Embed waveforms of at most ten seconds, at 48 kHz, and texts through laion-clap.

    Args:
        encoder: gives the sizes and the tokenizer.
        state: the checkpoint's tensors under LAION's names.
        waveforms: of any lengths up to that; laion-clap would crop longer ones at random.
        texts: what to embed beside them.
        int16: round samples to 16 bits, as laion-clap does with arrays and files, but not with tensors.

    Raises:
        NotCheckedError: laion-clap is not installed, or has no model of these sizes.
    """
    clap = laion_clap_model(encoder.model.config)
    # Newer versions of transformers compute the positions' numbers, and no longer take them.
    weights = {name: tensor for name, tensor in state.items() if not name.endswith(".position_ids")}
    try:
        clap.model.load_state_dict(weights)
    except RuntimeError as error:
        raise NotCheckedError(f"it does not take the checkpoint: {error}") from error
    sounds: list[Any] = [waveform.numpy() if int16 else waveform for waveform in waveforms]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audio = torch.as_tensor(clap.get_audio_embedding_from_data(sounds, use_tensor=not int16))
        tokens = dict(encoder.tokenizer(list(texts), padding=True, return_tensors="pt"))
        text = clap.get_text_embedding(texts, tokenizer=lambda _: tokens, use_tensor=True)
    return audio, text


def laion_clap_model(config: ClapConfig) -> Any:
    """Build laion-clap's own untrained model of these sizes.

    Raises:
        NotCheckedError: laion-clap is not installed, or has no model of these sizes.
    """
    audio_config: Any = config.audio_config
    text_config: Any = config.text_config
    name, is_fused = _NAMES.get(audio_config.patch_embeds_hidden_size), audio_config.enable_fusion
    if name is None or config.projection_dim != _DIM or text_config.hidden_size != _TEXT_DIM:
        raise NotCheckedError("it has no model of these sizes")
    needed = ["laion_clap", "torchaudio"] if is_fused else ["laion_clap"]
    if missing := [package for package in needed if find_spec(package) is None]:
        raise NotCheckedError(f"{' and '.join(missing)} not installed")
    with _offline(text_config):
        try:
            package = import_module("laion_clap")
        except ImportError as error:
            raise NotCheckedError(f"it cannot be imported: {error}") from error
        return package.CLAP_Module(enable_fusion=is_fused, device="cpu", amodel=name).eval()


@contextmanager
def _offline(text_config: Any) -> Iterator[None]:
    """Let laion-clap be imported and built without the hub.

    It asks for three tokenizers when it is imported, and for roberta-base's weights and tokenizer when it is built. The
    checkpoint replaces those weights, and the tokenizer is ours.
    """
    names = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings "
        "type_vocab_size layer_norm_eps pad_token_id bos_token_id eos_token_id"
    )
    sizes = {name: getattr(text_config, name) for name in names.split()}
    roberta = RobertaModel(RobertaConfig(**sizes))
    with (
        mock.patch.object(PreTrainedTokenizerBase, "from_pretrained", return_value=None),
        mock.patch.object(PreTrainedModel, "from_pretrained", return_value=roberta),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
