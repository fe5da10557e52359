"""Captions to text embeddings: each in its row, each distinct one once."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.clap.encoder import ClapEncoder
from models.training.embed_captions import embed_captions


def test_each_row_is_its_caption_s(tiny_clap: ClapEncoder) -> None:
    captions = ["rain is falling", "a dog barks", "rain is falling", "a", "a cat rings twice and then stops"]
    done: list[int] = []
    embedded = embed_captions(tiny_clap, captions, 2, done.append)
    torch.testing.assert_close(embedded, tiny_clap.embed_texts(captions))
    assert torch.equal(embedded[0], embedded[2])
    assert done == [2, 2]
    assert embed_captions(tiny_clap, [], 2, done.append).shape == (0, tiny_clap.dim)


def test_no_caption_is_embedded_twice(tiny_clap: ClapEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def embed_texts(self: ClapEncoder, texts: Sequence[str]) -> Tensor:
        asked.extend(texts)
        return torch.zeros(len(texts), tiny_clap.dim)

    monkeypatch.setattr(ClapEncoder, "embed_texts", embed_texts)
    embed_captions(tiny_clap, ["bb", "a", "bb", "ccc", "a"], 2, lambda count: None)
    assert asked == ["a", "bb", "ccc"]
