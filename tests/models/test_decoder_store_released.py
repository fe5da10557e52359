"""Decoders of released language models on disk: by reference with an adapter, or merged into a whole that needs neither."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.decoder.captioner import CaptionDecoder
from models.decoder.store import load_decoder, save_decoder
from models.errors import ArtifactError
from models.training.build_decoder import build_decoder
from models.training.decoder_recipe import DecoderRecipe
from tests.models.released import write_released

_EMBEDDINGS = nn.functional.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=1)
_CAPTIONS = ["rain is falling"] * 4


@pytest.fixture(scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("released")
    return {kind: write_released(folder / kind, kind) for kind in ("llama", "bart")}


@pytest.fixture
def released(_written: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    return {kind: Path(shutil.copytree(path, tmp_path / kind)) for kind, path in _written.items()}


def _decoder(source: Path, tuning: str) -> CaptionDecoder:
    """As if trained: whatever learns has moved away from its beginning."""
    settings: dict[str, Any] = {"kind": "pretrained", "source": str(source), "tuning": tuning, "prompt": "Audio: {audio}"}
    recipe = {"language_model": settings, "prefix_length": 2, "projector_dim": 8, "generation": {"num_beams": 2}}
    decoder = build_decoder(DecoderRecipe.model_validate(recipe | {"loop": {"steps": 1, "learning_rate": 1}}), 8, [])
    decoder.projector.fit_statistics(_EMBEDDINGS)
    generator = torch.Generator().manual_seed(3)
    for weight in decoder.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    return decoder.eval()


def _files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def _loss(decoder: CaptionDecoder) -> Tensor:
    with torch.no_grad():
        return decoder.loss(_EMBEDDINGS, _CAPTIONS)


def _captions(decoder: CaptionDecoder) -> list[list[str]]:
    return decoder.generate(_EMBEDDINGS, seeds=range(4), candidates=2, max_new_tokens=8)


@pytest.mark.parametrize("kind", ["llama", "bart"])
@pytest.mark.parametrize(
    ("tuning", "held"),
    [
        ("lora", {"reference.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"}),
        ("frozen", {"reference.json"}),
    ],
)
def test_a_reference_holds_what_was_trained_and_no_more(
    released: dict[str, Path], tmp_path: Path, kind: str, tuning: str, held: set[str]
) -> None:
    decoder = _decoder(released[kind], tuning)
    save_decoder(decoder, tmp_path / "a")
    assert _files(tmp_path / "a") == {"config.json", "projector.safetensors"} | {f"language_model/{name}" for name in held}
    loaded = load_decoder(tmp_path / "a")
    torch.testing.assert_close(_loss(loaded), _loss(decoder), rtol=1e-4, atol=1e-5)
    assert _captions(loaded) == _captions(decoder)
    assert not any("lora" in name or weight.requires_grad for name, weight in loaded.named_parameters())
    save_decoder(loaded, tmp_path / "b")
    for name in _files(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_model_that_was_trained_as_a_whole_is_stored_whole(released: dict[str, Path], tmp_path: Path) -> None:
    decoder = _decoder(released["llama"], "full")
    save_decoder(decoder, tmp_path / "a")
    shutil.rmtree(released["llama"])
    torch.testing.assert_close(_loss(load_decoder(tmp_path / "a")), _loss(decoder))


@pytest.mark.parametrize("kind", ["llama", "bart"])
@pytest.mark.parametrize("live", [True, False])
def test_a_merged_copy_needs_no_released_model(released: dict[str, Path], tmp_path: Path, kind: str, live: bool) -> None:
    decoder = _decoder(released[kind], "lora")
    expected = _loss(decoder)
    save_decoder(decoder, tmp_path / "a")
    save_decoder(decoder if live else load_decoder(tmp_path / "a"), tmp_path / "b", torch.float16, merge=True)
    torch.testing.assert_close(_loss(decoder), expected)
    shutil.rmtree(released[kind])
    assert not any("adapter" in name or "reference" in name for name in _files(tmp_path / "b"))
    assert torch.float32 not in {tensor.dtype for tensor in _stored_parameters(tmp_path / "b")}
    torch.testing.assert_close(_loss(load_decoder(tmp_path / "b")), expected, rtol=5e-3, atol=5e-3)


def _stored_parameters(directory: Path) -> list[Tensor]:
    tensors = load_file(directory / "language_model" / "model.safetensors")
    return [tensor for name, tensor in tensors.items() if name != "final_logits_bias"]


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_weights_are_of_the_precision_asked_for_and_logits_are_not(
    released: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    save_decoder(_decoder(released[kind], "lora"), tmp_path / "a")
    exact, coarse = load_decoder(tmp_path / "a"), load_decoder(tmp_path / "a", dtype=torch.bfloat16)
    assert {weight.dtype for weight in coarse.language_model.parameters()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in coarse.projector.state_dict().values()} == {torch.float32}
    assert _loss(coarse).dtype == torch.float32
    torch.testing.assert_close(_loss(coarse), _loss(exact), rtol=0.03, atol=0.03)
    assert all(row[0] for row in _captions(coarse))


def test_a_model_that_overflows_in_fp16_is_refused_in_fp16_alone(released: dict[str, Path], tmp_path: Path) -> None:
    decoder = _decoder(released["llama"], "full")
    # Its weights fit into half precision; what they compute does not.
    decoder.language_model.get_submodule("model.layers.0.mlp.down_proj").weight.data.fill_(6e4)
    save_decoder(decoder, tmp_path / "a", torch.float16)
    assert load_decoder(tmp_path / "a", dtype=torch.bfloat16)
    with pytest.raises(ArtifactError, match="overflows in fp16"):
        load_decoder(tmp_path / "a", dtype=torch.float16)


def test_weights_that_do_not_fit_into_half_precision_are_not_written(released: dict[str, Path], tmp_path: Path) -> None:
    decoder = _decoder(released["llama"], "full")
    decoder.language_model.get_input_embeddings().weight.data[0, 0] = 1e5
    save_decoder(decoder, tmp_path / "a")
    with pytest.raises(ArtifactError, match=r"embed_tokens\.weight is too large for float16: write float32"):
        save_decoder(load_decoder(tmp_path / "a"), tmp_path / "b", torch.float16, merge=True)


def test_another_released_model_is_refused(released: dict[str, Path], tmp_path: Path) -> None:
    save_decoder(_decoder(released["llama"], "lora"), tmp_path / "a")
    write_released(released["llama"], seed=1)
    with pytest.raises(ArtifactError, match=r"model\.safetensors differ") as refused:
        load_decoder(tmp_path / "a")
    assert refused.value.path == tmp_path / "a" / "language_model" / "reference.json"


def test_a_released_model_that_is_gone_is_named(released: dict[str, Path], tmp_path: Path) -> None:
    save_decoder(_decoder(released["llama"], "lora"), tmp_path / "a")
    shutil.rmtree(released["llama"])
    with pytest.raises(ArtifactError, match=f"{released['llama']}: no such folder"):
        load_decoder(tmp_path / "a")


def test_a_lost_adapter_is_missed(released: dict[str, Path], tmp_path: Path) -> None:
    save_decoder(_decoder(released["llama"], "lora"), tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "language_model" / "adapter")
    with pytest.raises(ArtifactError, match=r"adapter_config\.json"):
        load_decoder(tmp_path / "a")


@pytest.mark.parametrize("alpha", [10**60, 10**400])
def test_an_adapter_of_boundless_scale_is_refused(released: dict[str, Path], tmp_path: Path, alpha: int) -> None:
    save_decoder(_decoder(released["llama"], "lora"), tmp_path / "a")
    path = tmp_path / "a" / "language_model" / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": alpha}))
    with pytest.raises(ArtifactError) as refused:
        load_decoder(tmp_path / "a")
    assert refused.value.path == path.parent


def test_an_adapter_of_another_model_is_refused(released: dict[str, Path], tmp_path: Path) -> None:
    for kind in ("llama", "bart"):
        save_decoder(_decoder(released[kind], "lora"), tmp_path / "decoders" / kind)
    adapters = [tmp_path / "decoders" / kind / "language_model" / "adapter" for kind in ("llama", "bart")]
    shutil.rmtree(adapters[0])
    shutil.copytree(adapters[1], adapters[0])
    with pytest.raises(ArtifactError, match="not those of this language model") as refused:
        load_decoder(tmp_path / "decoders" / "llama")
    assert refused.value.path == adapters[0]


def test_weights_in_several_shards_are_read(released: dict[str, Path], tmp_path: Path) -> None:
    whole = _decoder(released["llama"], "lora")
    shutil.rmtree(released["llama"])
    write_released(released["llama"], max_shard_size="10KB")
    assert len(list(released["llama"].glob("model-*.safetensors"))) > 2
    torch.testing.assert_close(_loss(_decoder(released["llama"], "lora")), _loss(whole))


def test_a_whole_model_that_would_lead_to_another_one_is_refused(released: dict[str, Path], tmp_path: Path) -> None:
    save_decoder(_decoder(released["llama"], "lora"), tmp_path / "a", merge=True)
    path = tmp_path / "a" / "language_model" / "adapter_config.json"
    path.write_text(json.dumps({"base_model_name_or_path": str(released["llama"]), "peft_type": "LORA"}))
    with pytest.raises(ArtifactError, match="an adapter's") as refused:
        load_decoder(tmp_path / "a")
    assert refused.value.path == path
