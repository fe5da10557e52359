"""The decoders of a comparison: one for all bridges where they only read texts, one for each where they hear, and kept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from models.bridge.c3 import C3
from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_bridge import DiffusionBridge, DiffusionBridgeConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig
from models.bridge.identity import Identity, IdentityConfig
from models.bridge.interface import Bridge
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge
from models.bridge.sampler import SamplingConfig
from models.bridge.statistics import EmbeddingStatistics
from models.decoder.captioner import CaptionDecoder
from models.decoder.store import load_decoder
from models.errors import TrainingError
from models.evaluation.caption_comparison import CaptionComparisonRecipe, DecoderMaker, Setting, augmenter, decoder_choices
from models.training import train_decoder
from models.training.decoder_recipe import DecoderRecipe
from models.training.embed import EmbeddingSet
from models.training.loop import TrainingLoop
from tests.models.bridge_toy import DIM, toy_pairs

_DECODER: dict[str, Any] = {
    "language_model": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "max_positions": 12},
    "vocab_size": 300,
    "prefix_length": 1,
    "projector_dim": 16,
    "batch_size": 4,
    "loop": {"steps": 2, "learning_rate": 1e-2, "warmup_steps": 1},
}
_CPU = torch.device("cpu")


def _pairs(seed: int, what: str) -> EmbeddingSet:
    pairs = toy_pairs(seed, 20)
    captions = [f"{what} {number}" for number in pairs.topic.tolist()]
    return EmbeddingSet(pairs.audio, pairs.text, captions, torch.arange(21), {"encoder": "a", "scenes": what})


_PAIRS, _TEXTS, _VALIDATION = _pairs(0, "heard"), _pairs(1, "told"), _pairs(2, "new")


def _maker(work: Path, **settings: Any) -> DecoderMaker:
    recipe = DecoderRecipe.model_validate(_DECODER | settings)
    return DecoderMaker(work, _CPU, recipe, _PAIRS, _TEXTS, _VALIDATION)


def _refused(*_: Any, **__: Any) -> Any:
    raise AssertionError("not needed")


def _is_word(decoder: CaptionDecoder, word: str) -> bool:
    """Whether the tokenizer has met the word often enough to know it whole."""
    return len(decoder.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1


@pytest.fixture
def shift() -> MeanShift:
    return MeanShift.fit(_PAIRS.audio, _PAIRS.text)


@pytest.fixture
def c3() -> C3:
    return C3.fit(_PAIRS.audio, _PAIRS.text)


def test_a_zero_shot_decoder_is_the_same_for_all_bridges_and_differs_by_seed(
    tmp_path: Path, shift: MeanShift, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = _maker(tmp_path)
    first = maker.make("zero-shot", "shift", shift, 3)
    other = maker.make("zero-shot", "shift", shift, 5)
    assert (first, other) == (tmp_path / "decoders/text/3/model", tmp_path / "decoders/text/5/model")
    one, another = (load_decoder(path).projector(_TEXTS.text) for path in (first, other))
    assert not torch.allclose(one, another)
    monkeypatch.setattr(TrainingLoop, "run", _refused)
    assert maker.make("zero-shot", "ridge", Ridge.fit(_PAIRS.audio, _PAIRS.text), 3) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoders"]


def test_a_zero_shot_decoder_reads_the_told_texts_and_hears_nothing(
    tmp_path: Path, shift: MeanShift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeanShift, "forward", _refused)
    decoder = load_decoder(_maker(tmp_path, noise_variance=0.0).make("zero-shot", "shift", shift, 0))
    expected = functional.normalize(_TEXTS.text, dim=1).mean(dim=0)
    assert torch.allclose(decoder.projector.embedding_mean, expected, atol=0.03)
    assert (_is_word(decoder, "told"), _is_word(decoder, "heard")) == (True, False)


def test_a_bridge_with_texts_of_its_own_has_a_decoder_of_its_own(tmp_path: Path, c3: C3) -> None:
    directory = _maker(tmp_path, noise_variance=0.0).make("zero-shot", "mine", c3, 3)
    assert directory == tmp_path / "decoders/mine/3/model"
    mean = load_decoder(directory).projector.embedding_mean
    assert torch.allclose(mean, c3.text_side(_TEXTS.text).mean(dim=0), atol=0.03)
    # Another one of that name is not taken for it.
    with pytest.raises(TrainingError, match="other settings or data"):
        _maker(tmp_path, noise_variance=0.0).make("zero-shot", "mine", C3.fit(_TEXTS.audio, _TEXTS.text), 3)


def _link(augmentation_step: int | None) -> DiffusionLink:
    config = DiffusionLinkConfig(
        dim=DIM,
        denoiser=DenoiserConfig(hidden_dim=16, timestep_dim=8),
        sampling=SamplingConfig(start_step=400),
        augmentation_step=augmentation_step,
    )
    torch.manual_seed(0)
    return DiffusionLink(config, EmbeddingStatistics.fit(_PAIRS.audio, _PAIRS.text)).eval()


def test_a_bridge_that_augments_texts_has_a_decoder_that_read_them_and_shares_the_plain_one(
    tmp_path: Path, shift: MeanShift, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def flipped(self: DiffusionLink, text_embeddings: Tensor, noise: Tensor, variance: float) -> Tensor:
        read.append(self.config.augmentation_step)
        return functional.normalize(text_embeddings, dim=1).flip(1)

    monkeypatch.setattr(DiffusionLink, "noised_text_side", flipped)
    plain = _maker(tmp_path).make("zero-shot", "link", _link(300), 3)
    assert plain == _maker(tmp_path).make("zero-shot", "shift", shift, 3) == tmp_path / "decoders/text/3/model"
    assert read == []
    directory = _maker(tmp_path).make("zero-shot, augmented", "link", _link(300), 3)
    assert directory == tmp_path / "decoders/link/3/model"
    assert set(read) == {300}
    mean = load_decoder(directory).projector.embedding_mean
    assert torch.allclose(mean, _TEXTS.text.mean(dim=0).flip(0), atol=0.03)
    # Texts that are noised to another step make another decoder.
    with pytest.raises(TrainingError, match="other settings or data"):
        _maker(tmp_path).make("zero-shot, augmented", "link", _link(301), 3)


def _choices(setting: Setting, **bridges: Bridge) -> dict[str, tuple[str, bool]]:
    return {name: (choice.teacher, choice.own) for name, choice in decoder_choices(setting, bridges).items()}


def test_in_every_setting_the_rest_is_equal_but_for_who_is_marked(shift: MeanShift, c3: C3) -> None:
    config = DiffusionBridgeConfig(dim=DIM, denoiser=DenoiserConfig(hidden_dim=16, timestep_dim=8))
    lee = DiffusionBridge(config, EmbeddingStatistics.fit(_PAIRS.audio, _PAIRS.text))
    bridges: dict[str, Bridge] = {"lee": lee, "shift": shift, "plain": _link(None), "link": _link(300), "other": _link(9)}
    # One decoder: of all these, none has a text space of its own.
    assert _choices("zero-shot", **bridges, apart=c3) == {
        **{name: (name, False) for name in bridges}, "apart": ("apart", True)
    }  # fmt: skip
    assert augmenter(bridges) == "link"
    assert _choices("zero-shot, augmented", **bridges, apart=c3) == {
        "lee": ("lee", True),
        "shift": ("link", False),
        "plain": ("link", False),
        "link": ("link", False),
        "other": ("other", True),
    }
    assert _choices("supervised", apart=c3, link=_link(300)) == {"apart": ("apart", False), "link": ("link", False)}


def test_without_a_diffusion_link_that_augments_texts_that_setting_is_left_out(shift: MeanShift) -> None:
    assert augmenter({"shift": shift, "plain": _link(None)}) is None
    assert _choices("zero-shot, augmented", shift=shift, plain=_link(None)) == {}


def test_augmentation_leaves_a_supervised_decoder_to_the_bridged_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiffusionLink, "noised_text_side", _refused)
    link = _link(300)
    directory = _maker(tmp_path).make("supervised", "link", link, 3)
    assert directory == tmp_path / "decoders-supervised/link/3/model"
    mean = load_decoder(directory).projector.embedding_mean
    assert torch.allclose(mean, link(_PAIRS.audio, range(20)).mean(dim=0), atol=0.03)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoders-supervised"]


def test_a_supervised_decoder_hears_the_bridged_scenes_and_reads_nothing(
    tmp_path: Path, shift: MeanShift, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = _maker(tmp_path).make("supervised", "shift", shift, 3)
    assert directory == tmp_path / "decoders-supervised/shift/3/model"
    decoder = load_decoder(directory)
    bridged = shift(_PAIRS.audio, range(20))
    assert torch.allclose(decoder.projector.embedding_mean, bridged.mean(dim=0), atol=0.03)
    assert (_is_word(decoder, "told"), _is_word(decoder, "heard")) == (False, True)
    # Without a bridge it hears the audio as it is.
    plain = load_decoder(_maker(tmp_path).make("supervised", "none", Identity(IdentityConfig(dim=DIM)), 3))
    assert torch.allclose(plain.projector.embedding_mean, _PAIRS.audio.mean(dim=0), atol=0.03)
    assert not torch.allclose(plain.projector.embedding_mean, decoder.projector.embedding_mean, atol=0.03)
    monkeypatch.setattr(train_decoder, "DecoderTrainer", _refused)
    assert _maker(tmp_path).make("supervised", "shift", shift, 3) == directory
    # A bridge that was made anew is another bridge.
    with pytest.raises(TrainingError, match="other settings or data"):
        _maker(tmp_path).make("supervised", "shift", MeanShift.fit(_TEXTS.audio, _TEXTS.text), 3)


def test_other_settings_are_refused(tmp_path: Path, shift: MeanShift) -> None:
    _maker(tmp_path).make("zero-shot", "shift", shift, 0)
    with pytest.raises(TrainingError, match="other settings or data"):
        _maker(tmp_path, batch_size=5).make("zero-shot", "shift", shift, 0)


def test_three_seeds_unless_the_recipe_says_otherwise() -> None:
    assert CaptionComparisonRecipe.model_validate({"decoder": _DECODER}).seeds == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": 1},
        {"decoder": _DECODER | {"inputs": {"text": 1.0}}},
        {"decoder": _DECODER | {"loop": _DECODER["loop"] | {"seed": 0}}},
        {"colour": 1},
    ],
)
def test_a_wrong_section_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CaptionComparisonRecipe.model_validate({"decoder": _DECODER} | settings)
