"""The networks of an artifact: loaded together, of one width, in the precision that was asked for."""

import json
from pathlib import Path

import pytest
import torch

from models import networks as networks_module
from models.clap.encoder import ClapEncoder
from models.errors import ArtifactError
from models.networks import load_networks

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
