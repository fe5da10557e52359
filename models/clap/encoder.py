"""The CLAP encoder (Wu et al. 2023, arXiv 2211.06687): windows and texts to unit vectors of one space.

Frozen wherever it serves. Log-mel spectrograms are its own business: whoever holds an encoder cannot feed it others.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import ClapModel, PreTrainedTokenizerBase

from models.clap.log_mel import LogMel


class ClapEncoder(nn.Module):
    """A ClapModel, its tokenizer, and its log-mel spectrograms."""

    def __init__(self, model: ClapModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Wrap a model; call `eval()` before use: dropout and batch norm would make answers depend on company."""
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.spectrogram = LogMel()

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

    def log_mel(self, windows: Float[Tensor, "windows samples"]) -> Float[Tensor, "windows frames mels"]:
        """Log-mel spectrograms of windows of `WINDOW_SAMPLES`, in dB."""
        log_mel: Tensor = self.spectrogram(windows.to(self.device))
        return log_mel

    def embed_log_mel(self, log_mel: Float[Tensor, "windows frames mels"]) -> Float[Tensor, "windows dim"]:
        """Embed spectrograms; unit length."""
        features = self.model.get_audio_features(input_features=log_mel.to(self.device).unsqueeze(1))
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
        features = self.model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return functional.normalize(features.pooler_output.float(), dim=1)
