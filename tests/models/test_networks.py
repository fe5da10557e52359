"""The networks of an artifact: loaded together, of one width, in the precision that was asked for; and compiled."""

import json
from pathlib import Path

import pytest
import torch

from models import networks as networks_module
from models.clap.encoder import ClapEncoder
from models.device_work import DeviceWork
from models.errors import ArtifactError, DeviceError, DeviceMemoryError
from models.networks import compile_audio_tower, load_networks

_CPU = torch.device("cpu")


def test_they_say_what_they_are(tiny_artifact: Path, tiny_clap: ClapEncoder) -> None:
    facts = load_networks(tiny_artifact, _CPU, torch.float32).describe()
    assert json.loads(json.dumps(facts)) == facts
    encoder, bridge, decoder = (facts[part] for part in ("encoder", "bridge", "decoder"))
    assert (encoder["class"], encoder["audio_tower"], encoder["text_tower"]) == ("CnnClapModel", "CnnTower", "ClapTextModel")
    assert (bridge["class"], bridge["kind"]) == ("DiffusionLink", "diffusion-link")
    assert (decoder["language_model"], decoder["max_caption_tokens"]) == ("GPT2LMHeadModel", 22)
    assert all(part["dim"] == 16 and part["parameters"] > 0 and part["precision"] == "fp32" for part in facts.values())
    assert encoder["parameters"] == sum(parameter.numel() for parameter in tiny_clap.model.parameters())


def test_half_precision_is_the_encoder_s_arithmetic_and_the_language_model_s_weights(tiny_artifact: Path) -> None:
    networks = load_networks(tiny_artifact, _CPU, torch.bfloat16)
    assert [part["precision"] for part in networks.describe().values()] == ["bf16", "fp32", "bf16"]
    assert networks.clap.dtype == torch.bfloat16
    assert {weights.dtype for weights in networks.clap.parameters()} == {torch.float32}
    assert {weights.dtype for weights in networks.bridge.parameters()} == {torch.float32}
    assert {weights.dtype for weights in networks.decoder.language_model.parameters()} == {torch.bfloat16}
    assert {weights.dtype for weights in networks.decoder.projector.parameters()} == {torch.float32}


@pytest.mark.parametrize("part", ["bridge", "decoder"])
def test_parts_of_different_widths_are_refused(tiny_artifact: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = getattr(networks_module, f"load_{part}")

    def load_other(directory: Path, *others: object) -> object:
        network = loaded(directory, *others)
        network.config = network.config.model_copy(update={"dim": 8})
        return network

    monkeypatch.setattr(networks_module, f"load_{part}", load_other)
    with pytest.raises(ArtifactError, match="takes embeddings of width 8, clap/ gives 16") as refused:
        load_networks(tiny_artifact, _CPU, torch.float32)
    assert refused.value.path == tiny_artifact / part / "config.json"


_NO_COMPILER = r"cannot be compiled for cpu .*: no C\+\+ compiler found$"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (RuntimeError("no C++ compiler found\nmuch more"), DeviceError, _NO_COMPILER),
        (OSError("no C++ compiler found"), DeviceError, _NO_COMPILER),
        # Which is no fault of the compiler, even if the compiler says it.
        (torch.OutOfMemoryError("too much"), DeviceMemoryError, "^cpu is out of memory$"),
        (RuntimeError("OutOfMemoryError: CUDA out of memory"), DeviceMemoryError, "^cpu is out of memory$"),
    ],
)
def test_a_failure_to_compile_is_told(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], message: str
) -> None:
    clap = load_networks(tiny_artifact, _CPU, torch.float32).clap

    def forward(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(clap, "compile_towers", lambda: setattr(clap.model.audio_model, "forward", forward))
    with pytest.raises(kind, match=message):
        compile_audio_tower(clap, DeviceWork(_CPU), 8)


@pytest.mark.parametrize(("largest", "sizes"), [(1, [1]), (2, [1, 2]), (8, [1, 2, 8])])
def test_no_batch_is_larger_than_those_of_serving(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, largest: int, sizes: list[int]
) -> None:
    clap = load_networks(tiny_artifact, _CPU, torch.float32).clap
    embed, embedded = clap.embed_audio, list[int]()

    def noted(windows: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled(), "as serving does, or it would be compiled again"
        embedded.append(len(windows))
        return embed(windows)

    monkeypatch.setattr(clap, "compile_towers", lambda: None)
    monkeypatch.setattr(clap, "embed_audio", noted)
    compile_audio_tower(clap, DeviceWork(_CPU), largest)
    assert embedded == sizes
