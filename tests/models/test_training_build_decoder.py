"""What a recipe asks for is what is built, and only what is to learn asks for gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.decoder.captioner import CaptionDecoder
from models.errors import RecipeError, SourceError
from models.training.build_decoder import build_decoder
from models.training.decoder_recipe import DecoderRecipe
from tests.models.released import WORDS, write_released

_EMBEDDINGS = nn.functional.normalize(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("released")
    return {kind: write_released(folder / kind, kind) for kind in ("llama", "bart", "gpt2")}


def _build(loop: dict[str, Any] | None = None, **language_model: Any) -> CaptionDecoder:
    settings = {"loop": {"steps": 1, "learning_rate": 1} | (loop or {}), "prefix_length": 1, "projector_dim": 8}
    return build_decoder(DecoderRecipe.model_validate(settings | {"language_model": language_model}), 8, WORDS)


def _released(source: Path, loop: dict[str, Any] | None = None, **settings: Any) -> CaptionDecoder:
    return _build(loop, kind="pretrained", source=str(source), **settings)


def _learning(decoder: CaptionDecoder) -> list[str]:
    return [name for name, weight in decoder.named_parameters() if weight.requires_grad]


@pytest.mark.parametrize(
    ("tuning", "expected"),
    [
        ("lora", lambda name: "lora_" in name or name.startswith("projector.")),
        ("frozen", lambda name: name.startswith("projector.")),
        ("full", lambda name: True),
    ],
)
def test_what_the_tuning_says_learns(released: dict[str, Path], tuning: str, expected: Any) -> None:
    decoder = _released(released["llama"], tuning=tuning).train()
    assert _learning(decoder) == [name for name, _ in decoder.named_parameters() if expected(name)]
    decoder.loss(_EMBEDDINGS, WORDS[:2]).backward()
    assert {name for name, weight in decoder.named_parameters() if weight.grad is not None} == set(_learning(decoder))
    assert (decoder.reference is None) == (tuning == "full")


def test_a_frozen_model_has_no_dropout_in_training(released: dict[str, Path]) -> None:
    assert not _released(released["gpt2"], tuning="frozen").train().language_model.training
    lora = {"targets": ["c_attn"]}
    assert _released(released["gpt2"], tuning="lora", lora=lora).train().language_model.training


@pytest.mark.parametrize(("tuning", "base"), [("lora", torch.bfloat16), ("frozen", torch.bfloat16), ("full", torch.float32)])
def test_weights_that_learn_are_float32_others_as_they_are_computed_with(
    released: dict[str, Path], tuning: str, base: torch.dtype
) -> None:
    decoder = _released(released["llama"], {"precision": "bf16"}, tuning=tuning)
    assert decoder.language_model.get_input_embeddings().weight.dtype == base
    assert {weight.dtype for weight in decoder.parameters() if weight.requires_grad} == {torch.float32}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoder.loss(_EMBEDDINGS, WORDS[:2]).backward()
    assert all(bool(weight.grad.any()) for name, weight in decoder.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize(
    ("kind", "settings", "around"),
    [
        ("llama", {"prompt": "Audio: {audio}"}, ("<s>Audio: ", "")),
        ("llama", {"prompt": "Audio: {audio}", "chat": True}, ("<s>system: be brief\nuser: Audio: ", "</s>assistant: ")),
        ("gpt2", {}, ("", "")),
        ("bart", {}, ("<s>", "</s>")),
    ],
)
def test_the_prompt_is_rendered_into_the_decoders_config(
    released: dict[str, Path], kind: str, settings: dict[str, Any], around: tuple[str, str]
) -> None:
    config = _released(released[kind], tuning="frozen", **settings).config
    assert (config.prompt_before, config.prompt_after) == around


@pytest.mark.parametrize("settings", [{"kind": "small", "hidden_size": 16, "num_heads": 2}, {"kind": "pretrained"}])
def test_the_seed_says_how_it_begins(released: dict[str, Path], settings: dict[str, Any]) -> None:
    source = {"source": str(released["llama"])} if settings["kind"] == "pretrained" else {}
    first, same, other = (_build({"seed": seed}, **settings, **source).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(tensor, same[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"lora": {"targets": ["c_attn"]}}, "no linear layer named c_attn"),
        ({"prompt": "a dog barks " * 60 + "{audio}"}, "take all positions"),
    ],
)
def test_what_the_model_does_not_have_is_the_recipes_fault(
    released: dict[str, Path], settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RecipeError, match=reason):
        _released(released["llama"], **settings)


def test_a_model_without_a_template_cannot_chat(released: dict[str, Path]) -> None:
    with pytest.raises(RecipeError, match=r"gpt2: .*no chat template"):
        _released(released["gpt2"], tuning="frozen", chat=True)


def test_a_source_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        _released(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SourceError, match=r"tokenizer\.json"):
        _released(tmp_path)
