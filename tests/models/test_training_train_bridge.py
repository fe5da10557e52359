"""train-bridge: it learns a gap that it can learn, keeps to its recipe, and ends the same whether broken off or not."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.nn import functional

from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig, natural_start_step
from models.bridge.learned import LearnedBridge
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge
from models.bridge.sampler import SamplingConfig
from models.bridge.store import load_bridge
from models.clap.encoder import ClapEncoder
from models.errors import TrainingError
from models.training import train_bridge as stage
from models.training.bridge_recipe import BridgeRecipe
from models.training.embed import EmbeddingSet, EmbedRecipe, embed
from models.training.processes import Share
from models.training.train_bridge import BridgeTrainer, begin_bridge, make_bridge, measure_bridge, train_bridge
from tests.models.training_work import log_lines, write_clap, write_corpus

_DIM = 16
_LOOP = {"steps": 12, "learning_rate": 3e-3, "warmup_steps": 2, "checkpoint_every": 4, "evaluate_every": 6, "log_every": 1}
_LINK: dict[str, Any] = {
    "kind": "diffusion-link",
    "loop": _LOOP,
    "batch_size": 16,
    "denoiser": {"hidden_dim": 32, "timestep_dim": 8},
}


def _recipe(**settings: Any) -> Any:
    return TypeAdapter(BridgeRecipe).validate_python(settings)


def _pairs(seed: int, scenes: int = 400) -> EmbeddingSet:
    """Texts about a few directions; audio is a text turned by a rotation, moved and blurred."""
    generator = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(99)
    topics = torch.randn(40, _DIM, generator=fixed)
    rotation = torch.linalg.qr(torch.randn(_DIM, _DIM, generator=fixed)).Q
    shift = torch.randn(_DIM, generator=fixed)
    topic = torch.randint(40, (scenes,), generator=generator)
    text = functional.normalize(topics[topic], dim=1)
    blur = 0.05 * torch.randn(scenes, _DIM, generator=generator)
    audio = functional.normalize(text @ rotation + 0.5 * shift + blur, dim=1)
    captions = [f"sound {number}" for number in topic.tolist()]
    return EmbeddingSet(audio, text, captions, torch.arange(scenes + 1), {"encoder": "a", "scenes": "b"})


def _trainer(recipe: Any, pairs: EmbeddingSet, validation: EmbeddingSet) -> BridgeTrainer:
    bridge = begin_bridge(recipe, pairs)
    assert isinstance(bridge, LearnedBridge)
    return BridgeTrainer(recipe, bridge, pairs, validation)


def _link_config(recipe: Any, pairs: EmbeddingSet) -> DiffusionLinkConfig:
    bridge = begin_bridge(recipe, pairs)
    assert isinstance(bridge, DiffusionLink)
    return bridge.config


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    write_corpus(tmp_path)
    write_clap(tmp_path, tiny_clap)
    embed(EmbedRecipe(), tmp_path, "cpu", resume=False)
    return tmp_path


def test_diffusion_link_learns_the_way_across() -> None:
    recipe = _recipe(**_LINK)
    trainer = _trainer(recipe, _pairs(0), _pairs(1, 200))
    before = trainer.evaluate()
    optimiser = torch.optim.AdamW(trainer.bridge.parameters(), lr=1e-2)
    for step in range(120):
        optimiser.zero_grad()
        torch.autograd.backward(trainer.batch_loss(torch.Generator().manual_seed(step), step, Share())["loss"])
        optimiser.step()
    after = trainer.evaluate()
    assert after["paired_cosine"] > before["paired_cosine"] + 0.2
    assert after["r_at_1"] > before["r_at_1"] + 0.2
    assert after["unpaired_cosine"] < 0.5


def test_measures_of_a_perfect_bridge_and_of_a_collapsed_one() -> None:
    pairs = _pairs(2, 100)
    perfect = EmbeddingSet(pairs.text, pairs.text, pairs.captions, pairs.offsets, pairs.source)
    identity = stage.Identity.fit(pairs.audio, pairs.text)
    measures = measure_bridge(identity, perfect, torch.device("cpu"))
    assert measures["paired_cosine"] == pytest.approx(1, abs=1e-5)
    assert measures["centroid_distance"] == pytest.approx(0, abs=1e-5)
    assert measures["r_at_1"] == 1
    collapsed = EmbeddingSet(pairs.text[:1].expand(100, -1), pairs.text, pairs.captions, pairs.offsets, pairs.source)
    assert measure_bridge(identity, collapsed, torch.device("cpu"))["r_at_1"] < 0.1


def test_the_start_step_is_the_pairs_natural_one_unless_given() -> None:
    pairs = _pairs(0)
    natural = natural_start_step(pairs.audio, pairs.text, centred=True)
    assert _link_config(_recipe(**_LINK), pairs).sampling == SamplingConfig(start_step=natural)
    settings = {"start_step": 77, "num_sampling_steps": 3, "noise_scale": 0.5, "num_samples": 4}
    sampling = _link_config(_recipe(**_LINK, sampling=settings), pairs).sampling
    assert sampling == SamplingConfig(start_step=77, num_sampling_steps=3, noise_scale=0.5, num_samples=4)


@pytest.mark.parametrize("centred", [True, False])
def test_texts_are_augmented_from_the_natural_step_unless_another_or_none_is_given(centred: bool) -> None:
    pairs, settings = _pairs(0), _LINK | {"centred": centred, "sampling": {"start_step": 77}}
    natural = natural_start_step(pairs.audio, pairs.text, centred=centred)
    assert natural not in (77, 123)
    for given, expected in (({}, natural), ({"augmentation_step": "auto"}, natural), ({"augmentation_step": 123}, 123)):
        config = _link_config(_recipe(**settings, **given), pairs)
        assert (config.augmentation_step, config.sampling.start_step) == (expected, 77)
    assert _link_config(_recipe(**settings, augmentation_step="none"), pairs).augmentation_step is None


def test_where_there_is_no_gap_texts_are_hardly_noised() -> None:
    pairs = _pairs(0)
    config = _link_config(_recipe(**_LINK), replace(pairs, audio=pairs.text))
    # The walk needs its five steps, the augmentation does not.
    assert (config.augmentation_step, config.sampling.start_step) == (1, 5)


@pytest.mark.parametrize("settings", [{"kind": "ridge"}, {"kind": "text-memory"}, _LINK, _LINK | {"kind": "mlp-regression"}])
def test_a_share_of_the_pairs_is_as_if_there_were_no_others(tmp_path: Path, settings: dict[str, Any]) -> None:
    pairs, validation = _pairs(0, 60), _pairs(1, 20)

    def trained(name: str, fitted_to: EmbeddingSet, **share: float) -> dict[str, Tensor]:
        recipe = _recipe(**settings, **share)
        make_bridge(recipe, tmp_path / name, fitted_to, validation, torch.device("cpu"), resume=False)
        return load_bridge(tmp_path / name / "model").state_dict()

    part, same = trained("part", pairs, pairs_share=0.4), trained("same", pairs.part(0.4))
    whole = trained("whole", pairs)
    assert all(torch.equal(part[name], same[name]) for name in part | same)
    assert any(part[name].shape != whole[name].shape or not torch.allclose(part[name], whole[name]) for name in part)
    everything = trained("everything", pairs, pairs_share=1.0)
    assert all(torch.equal(everything[name], whole[name]) for name in whole)


def test_a_run_leaves_a_bridge_and_a_log(work: Path) -> None:
    train_bridge(_recipe(**_LINK), work, "cpu", resume=False)
    bridge = load_bridge(work / "bridge" / "model")
    assert isinstance(bridge, DiffusionLink)
    lines = log_lines(work / "bridge")
    assert {"loss", "text", "audio", "topology"} < lines[0].keys()
    assert [line["step"] for line in lines if "r_at_10" in line] == [6, 12]
    assert {"paired_cosine", "unpaired_cosine", "centroid_distance", "r_at_1"} < lines[-1].keys()
    trained = bridge.denoiser.state_dict()
    assert any(bool(tensor.abs().max() > 0) for name, tensor in trained.items() if name.endswith("out.weight"))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mlp-regression", {"centred": False}),
        (
            "diffusion-bridge",
            {"sampling": {"start_step": 300, "num_sampling_steps": 3}, "scale": 4.0, "augmentation_step": 70},
        ),
        ("conditional-prior", {"num_sampling_steps": 9}),
    ],
)
def test_every_kind_with_a_network_is_trained_by_its_recipe(work: Path, kind: str, settings: dict[str, Any]) -> None:
    train_bridge(_recipe(**(_LINK | {"kind": kind} | settings)), work, "cpu", resume=False)
    bridge = load_bridge(work / "bridge" / "model")
    assert isinstance(bridge, LearnedBridge)
    stored = bridge.config.model_dump()
    assert stored["kind"] == kind
    assert float(bridge.statistics.scale) == pytest.approx(settings.get("scale", stored["dim"] ** 0.5))
    for name, value in settings.items():
        if name == "sampling":
            assert stored[name] == {"noise_scale": 0.0, "num_samples": 1} | value
        elif name != "scale":
            assert stored[name] == value
    weights = bridge.state_dict()
    assert all(bool(weights[f"denoiser.blocks.{i}.out.weight"].any()) for i in range(3))
    lines = log_lines(work / "bridge")
    assert "loss" in lines[0]
    assert [line["step"] for line in lines if "r_at_10" in line] == [6, 12]


def test_texts_are_compared_where_the_bridge_brings_audio_to() -> None:
    pairs = _pairs(0)
    bridge = begin_bridge(_recipe(kind="c3"), pairs)
    measures = measure_bridge(bridge, pairs, torch.device("cpu"))
    bridged, text = bridge(pairs.audio, range(400)), bridge.text_side(pairs.text)
    assert measures["paired_cosine"] == pytest.approx(float((bridged * text).sum(dim=1).mean()), abs=1e-5)
    assert measures["centroid_distance"] < 0.1


def test_a_finished_run_resumed_gives_the_same_bridge(work: Path) -> None:
    train_bridge(_recipe(**_LINK), work, "cpu", resume=False)
    path = work / "bridge" / "model" / "model.safetensors"
    before = path.read_bytes()
    train_bridge(_recipe(**_LINK), work, "cpu", resume=True)
    assert path.read_bytes() == before


def test_a_run_of_another_recipe_is_not_resumed(work: Path) -> None:
    train_bridge(_recipe(**_LINK), work, "cpu", resume=False)
    with pytest.raises(TrainingError, match="other settings or data"):
        train_bridge(_recipe(**(_LINK | {"batch_size": 8})), work, "cpu", resume=True)


@pytest.mark.parametrize("setting", [{"accumulation": 2}, {"precision": "bf16"}])
def test_a_batch_is_neither_divided_nor_rounded(work: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=f"train-bridge .*{next(iter(setting))}"):
        train_bridge(_recipe(**_LINK | {"loop": _LINK["loop"] | setting}), work, "cpu", resume=False)
    assert not (work / "bridge").exists()


@pytest.mark.parametrize("kind", ["identity", "mean-shift", "ridge", "c3", "text-memory", "realign"])
def test_closed_forms_are_solved_and_measured(work: Path, kind: str) -> None:
    train_bridge(_recipe(kind=kind), work, "cpu", resume=False)
    assert load_bridge(work / "bridge" / "model").config.kind == kind
    (line,) = log_lines(work / "bridge")
    assert line["step"] == 0
    assert 0 <= line["r_at_10"] <= 1


def test_closed_forms_see_every_caption_with_its_scene(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = EmbeddingSet.load(work, "bridge")
    scenes = torch.repeat_interleave(torch.arange(len(pairs.audio)), pairs.offsets.diff())
    train_bridge(_recipe(kind="ridge", penalty=0.5), work, "cpu", resume=False)
    bridge = load_bridge(work / "bridge" / "model")
    assert isinstance(bridge, Ridge)
    torch.testing.assert_close(bridge.weight, Ridge.fit(pairs.audio[scenes], pairs.text, 0.5).weight)
    # More pairs than are fitted to: a random part, still each with its own scene.
    monkeypatch.setattr(stage, "MAX_FITTED_PAIRS", 20)
    shutil.rmtree(work / "bridge")
    train_bridge(_recipe(kind="mean-shift"), work, "cpu", resume=False)
    shift = load_bridge(work / "bridge" / "model")
    assert isinstance(shift, MeanShift)
    assert not torch.allclose(
        shift.statistics.text_mean, MeanShift.fit(pairs.audio[scenes], pairs.text).statistics.text_mean
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "magic"},
        {"kind": "text-memory", "temperature": 0.0},
        _LINK | {"kind": "diffusion-bridge", "sampling": {"start_step": "auto"}},
        _LINK | {"kind": "mlp-regression", "loss": {"audio_weight": 1.0}},
        {"kind": "mean-shift", "batch_size": 4},
        {"kind": "diffusion-link"},
        _LINK | {"sampling": {"start_step": "middle"}},
        _LINK | {"sampling": {"start_step": 3, "num_sampling_steps": 5}},
        _LINK | {"sampling": {"start_step": 1001}},
        _LINK | {"sampling": {"num_samples": 2}},
        _LINK | {"sampling": {"noise_scale": 0.5, "num_samples": 0}},
        _LINK | {"loss": {"audio_weight": -1.0}},
        _LINK | {"loss": {"audio_weight": 0.0, "text_weight": 0.0}},
        _LINK | {"augmentation_step": 0},
        _LINK | {"augmentation_step": 1001},
        _LINK | {"augmentation_step": "middle"},
        _LINK | {"kind": "diffusion-bridge", "augmentation_step": "auto"},
        _LINK | {"kind": "diffusion-bridge", "augmentation_step": 1001},
        _LINK | {"kind": "mlp-regression", "augmentation_step": 5},
        _LINK | {"pairs_share": 0.0},
        {"kind": "ridge", "pairs_share": 1.01},
    ],
)
def test_a_wrong_section_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _recipe(**settings)
