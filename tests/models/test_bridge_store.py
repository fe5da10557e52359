"""Bridges survive the disk bit for bit, and whatever is wrong with their files is refused by name and reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from models.bridge.c3 import C3
from models.bridge.conditional_prior import ConditionalPrior, ConditionalPriorConfig
from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig
from models.bridge.identity import Identity
from models.bridge.interface import Bridge
from models.bridge.mean_shift import MeanShift
from models.bridge.mlp_regression import MlpRegression, MlpRegressionConfig
from models.bridge.realign import ReAlign
from models.bridge.ridge import Ridge
from models.bridge.sampler import SamplingConfig
from models.bridge.statistics import EmbeddingStatistics
from models.bridge.store import AnyBridgeConfig, load_bridge, save_bridge
from models.bridge.text_memory import TextMemory
from models.errors import ArtifactError

_AUDIO = functional.normalize(torch.randn(10, 8, generator=torch.Generator().manual_seed(0)) + 0.5, dim=1)
_TEXT = _AUDIO.flip(1)


_NETWORK = DenoiserConfig(hidden_dim=16, timestep_dim=8)


def _diffusion_link() -> DiffusionLink:
    config = DiffusionLinkConfig(
        dim=8,
        denoiser=_NETWORK,
        sampling=SamplingConfig(start_step=400, noise_scale=1.0, num_samples=2),
        augmentation_step=300,
    )
    bridge = DiffusionLink(config, EmbeddingStatistics.fit(_AUDIO, _TEXT))
    _randomise(bridge)
    return bridge


def _mlp_regression() -> Bridge:
    config = MlpRegressionConfig(dim=8, centred=False, denoiser=_NETWORK)
    return _randomise(MlpRegression(config, EmbeddingStatistics.fit(_AUDIO, _TEXT)))


def _diffusion_bridge() -> Bridge:
    config = DiffusionBridgeConfig(dim=8, denoiser=_NETWORK)
    return _randomise(DiffusionBridge(config, EmbeddingStatistics.fit(_AUDIO, _TEXT, 5.0)))


def _conditional_prior() -> Bridge:
    config = ConditionalPriorConfig(dim=8, denoiser=_NETWORK, num_sampling_steps=4)
    return _randomise(ConditionalPrior(config, EmbeddingStatistics.fit(_AUDIO, _TEXT)))


def _randomise(bridge: Bridge) -> Bridge:
    for weight in bridge.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return bridge.eval()


_BRIDGES: list[Callable[[], Bridge]] = [
    _diffusion_link,
    lambda: Identity.fit(_AUDIO, _TEXT),
    lambda: MeanShift.fit(_AUDIO, _TEXT),
    lambda: Ridge.fit(_AUDIO, _TEXT),
    _mlp_regression,
    _diffusion_bridge,
    _conditional_prior,
    lambda: C3.fit(_AUDIO, _TEXT),
    lambda: TextMemory.fit(_AUDIO, _TEXT, temperature=0.3),
    lambda: ReAlign.fit(_AUDIO, _TEXT),
]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save_bridge(_diffusion_link(), tmp_path)
    return tmp_path


@pytest.mark.parametrize("build", _BRIDGES)
def test_a_bridge_survives_the_disk(build: Callable[[], Bridge], tmp_path: Path) -> None:
    bridge = build()
    save_bridge(bridge, tmp_path / "bridge")
    loaded = load_bridge(tmp_path / "bridge", "cpu")
    assert sorted(path.name for path in (tmp_path / "bridge").iterdir()) == ["config.json", "model.safetensors"]
    assert type(loaded) is type(bridge)
    assert loaded.config == bridge.config
    assert not loaded.training
    assert torch.equal(loaded(_AUDIO, range(10)), bridge(_AUDIO, range(10)))
    assert torch.equal(loaded.text_side(_TEXT), bridge.text_side(_TEXT))
    assert (loaded.own_text_space, loaded.augments_texts) == (bridge.own_text_space, bridge.augments_texts)
    noise = torch.randn(_TEXT.shape)
    assert torch.equal(loaded.noised_text_side(_TEXT, noise, 0.1), bridge.noised_text_side(_TEXT, noise, 0.1))


def test_every_kind_is_among_them() -> None:
    kinds = {config.model_fields["kind"].default for config in get_args(get_args(AnyBridgeConfig)[0])}
    assert {build().config.kind for build in _BRIDGES} == kinds


def test_half_precision_spares_the_statistics(tmp_path: Path) -> None:
    bridge = _diffusion_link()
    save_bridge(bridge, tmp_path, torch.float16)
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["denoiser.blocks.0.out.weight"].dtype == torch.float16
    assert torch.equal(stored["statistics.text_mean"], bridge.statistics.text_mean)
    loaded = load_bridge(tmp_path)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    assert torch.allclose(loaded(_AUDIO, range(10)), bridge(_AUDIO, range(10)), atol=0.01)


def _edit_config(directory: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    edit(config)
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda c: c.update(kind="schrodinger"), "schrodinger"),
        (lambda c: c.pop("kind"), "kind"),
        (lambda c: c.pop("dim"), "dim"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c["sampling"].update(steps=3), "steps"),
        (lambda c: c["sampling"].update(start_step="400"), "start_step"),
        (lambda c: c["denoiser"].pop("num_blocks"), "default"),
        (lambda c: c["loss"].update(audio_weight=-1.0), "audio_weight"),
        (lambda c: c["loss"].update(audio_weight=0.0, text_weight=0.0), "text_weight"),
        (lambda c: c["loss"].pop("text_weight"), "default"),
        (lambda c: c["sampling"].update(noise_scale=0.0), "num_samples"),
        (lambda c: c.update(augmentation_step=1001), "augmentation_step"),
        (lambda c: c.pop("augmentation_step"), "default"),
    ],
)
def test_a_wrong_config_is_refused(stored: Path, edit: Callable[[dict[str, Any]], object], reason: str) -> None:
    _edit_config(stored, edit)
    with pytest.raises(ArtifactError, match=reason) as refused:
        load_bridge(stored)
    assert refused.value.path == stored / "config.json"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_config_that_is_no_object_is_refused(stored: Path, content: bytes) -> None:
    (stored / "config.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"config\.json"):
        load_bridge(stored)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_refused(stored: Path, name: str) -> None:
    (stored / name).unlink()
    with pytest.raises(ArtifactError) as refused:
        load_bridge(stored)
    assert refused.value.path == stored / name


@pytest.mark.parametrize("keep", [0, 4, 200, -7])
def test_damaged_weights_are_refused(stored: Path, keep: int) -> None:
    path = stored / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match="safetensors"):
        load_bridge(stored)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda t: t.pop("statistics.scale"), "lacks statistics.scale"),
        (lambda t: t.update(more=torch.zeros(1)), "unknown more"),
        (lambda t: t.update({"statistics.text_mean": torch.zeros(9)}), "shape"),
        (lambda t: t.update({"statistics.text_mean": torch.zeros(8, dtype=torch.int64)}), "int64"),
        (lambda t: t["statistics.text_mean"].fill_(torch.nan), "NaN"),
        (lambda t: t["denoiser.blocks.1.out.bias"][:1].fill_(torch.inf), "denoiser.blocks.1.out.bias"),
    ],
)
def test_wrong_tensors_are_refused(stored: Path, edit: Callable[[dict[str, Any]], object], reason: str) -> None:
    path = stored / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    with pytest.raises(ArtifactError, match=reason) as refused:
        load_bridge(stored)
    assert refused.value.path == path


def test_weights_of_another_size_are_refused(stored: Path) -> None:
    _edit_config(stored, lambda c: c.update(dim=16))
    with pytest.raises(ArtifactError, match=r"model\.safetensors.*shape"):
        load_bridge(stored)
