"""The CLAP encoder (Wu et al. 2023, arXiv 2211.06687): windows and texts to unit vectors of one space.

Frozen wherever it serves. Log-mel spectrograms are its own business: whoever holds an encoder cannot feed it others.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import ClapModel, PreTrainedTokenizerBase

from models.clap.log_mel import LogMel


class ClapEncoder(nn.Module):
    """A ClapModel, its tokenizer, and its log-mel spectrograms."""

    def __init__(self, model: ClapModel, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype = torch.float32) -> None:
        """Wrap a model; call `eval()` before use: dropout and batch norm would make answers depend on company.

        The towers compute in `dtype`; the weights stay float32, and autocast chooses operation by operation: what comes
        first is a batch norm of decibels, which 8 bits of mantissa would round to half a decibel.
        """
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.dtype = dtype
        audio_config: Any = model.config.audio_config
        self.is_fused = bool(audio_config.enable_fusion)
        self.spectrogram = LogMel("htk" if self.is_fused else "slaney")

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return int(self.model.config.projection_dim)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.logit_scale_a.device

    @property
    def max_text_tokens(self) -> int:
        """Longest text, with its special tokens; RoBERTa counts positions from after the padding token's number."""
        config: Any = self.model.config.text_config
        return int(config.max_position_embeddings - config.pad_token_id - 1)

    @property
    def pooled_dim(self) -> int:
        """Width of what the audio tower pools, before the projection."""
        config: Any = self.model.config.audio_config
        return int(config.hidden_size)

    def compile_towers(self) -> None:
        """Have torch.compile translate the audio tower at its next calls; the text tower stays as it is.

        It is compiled in place, so that names of weights and classes do not change. Slow are the first call, the first of
        another size, and the first of a single window; from then on batches of every size are quick.
        """
        self.model.audio_model.compile()

    def log_mel(self, windows: Float[Tensor, "windows samples"]) -> Float[Tensor, "windows frames mels"]:
        """Log-mel spectrograms of windows of `WINDOW_SAMPLES`, in dB."""
        log_mel: Tensor = self.spectrogram(windows)
        return log_mel

    def embed_log_mel(self, log_mel: Float[Tensor, "windows frames mels"]) -> Float[Tensor, "windows dim"]:
        """Embed spectrograms; unit length."""
        inputs = {"input_features": log_mel.to(self.device).unsqueeze(1)}
        if self.is_fused:
            # No window is longer than ten seconds, so the tower looks at the first of its four channels only, and one is
            # enough. transformers' extractor calls one window of such a batch longer, at random: its answer then depends
            # on chance and company. laion-clap does so in training only.
            inputs["is_longer"] = torch.zeros(len(log_mel), 1, dtype=torch.bool, device=self.device)
        with self._precision():
            features = self.model.get_audio_features(**inputs)
        return functional.normalize(features.pooler_output.float(), dim=1)

    def embed_audio(self, windows: Float[Tensor, "windows samples"]) -> Float[Tensor, "windows dim"]:
        """Embed windows; unit length."""
        return self.embed_log_mel(self.log_mel(windows))

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Embed texts; unit length. What does not fit into the text tower's positions is cut off."""
        if not texts:
            return torch.empty(0, self.dim, device=self.device)
        tokens = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_text_tokens, return_tensors="pt"
        ).to(self.device)
        with self._precision():
            features = self.model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return functional.normalize(features.pooler_output.float(), dim=1)

    def _precision(self) -> AbstractContextManager[object]:
        # Not autocast(enabled=False), which would end the autocast of a training loop around it.
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype)
