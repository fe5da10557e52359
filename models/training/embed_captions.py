"""Text embeddings of captions, each distinct one once."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from models.clap.encoder import ClapEncoder


@torch.inference_mode()
def embed_captions(
    encoder: ClapEncoder, captions: Sequence[str], batch_size: int, advance: Callable[[int], object]
) -> Float[Tensor, "captions dim"]:
    """Embed captions, row by row; `advance` is told of captions that are done."""
    # Many clips share a caption; sorted by length, a batch has little padding.
    distinct = sorted(set(captions), key=lambda caption: (len(caption), caption))
    embedded = torch.empty(len(distinct), encoder.dim)
    for start in range(0, len(distinct), batch_size):
        part = distinct[start : start + batch_size]
        embedded[start : start + len(part)] = encoder.embed_texts(part).cpu()
        advance(len(part))
    number = {caption: index for index, caption in enumerate(distinct)}
    return embedded[[number[caption] for caption in captions]]
