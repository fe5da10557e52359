"""The bridges of a comparison: each seed trained once, closed forms solved once, and nothing taken for another."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from models.bridge.mlp_regression import MlpRegression
from models.errors import RecipeError, TrainingError
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.training.embed import EmbeddingSet
from tests.models.bridge_toy import toy_pairs

_MLP = {
    "kind": "mlp-regression",
    "loop": {"steps": 3, "learning_rate": 3e-3, "warmup_steps": 1},
    "batch_size": 8,
    "denoiser": {"hidden_dim": 8, "timestep_dim": 8},
}


def _recipe(**settings: Any) -> ComparisonRecipe:
    return ComparisonRecipe.model_validate({"bridges": {"mlp": _MLP, "shift": {"kind": "mean-shift"}}} | settings)


def _pairs(seed: int, source: str = "a") -> EmbeddingSet:
    pairs = toy_pairs(seed, 30)
    captions = [str(number) for number in pairs.topic.tolist()]
    return EmbeddingSet(pairs.audio, pairs.text, captions, torch.arange(31), {"encoder": source, "scenes": "b"})


def _maker(work: Path, source: str = "a") -> BridgeMaker:
    return BridgeMaker(work, torch.device("cpu"), _pairs(0, source), _pairs(1, source))


def test_a_network_is_trained_under_each_seed_and_kept(tmp_path: Path) -> None:
    one, other = _maker(tmp_path).bridges("mlp", _recipe().bridges["mlp"], [0, 5])
    assert isinstance(one, MlpRegression)
    assert not torch.equal(one.state_dict()["denoiser.blocks.0.hidden.0.weight"],
                           other.state_dict()["denoiser.blocks.0.hidden.0.weight"])  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "bridges" / "mlp").iterdir()) == ["0", "5"]
    kept = tmp_path / "bridges" / "mlp" / "5" / "model" / "model.safetensors"
    stamp = kept.stat().st_mtime_ns
    (again,) = _maker(tmp_path).bridges("mlp", _recipe().bridges["mlp"], [5])
    assert kept.stat().st_mtime_ns == stamp
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_a_closed_form_is_solved_once(tmp_path: Path) -> None:
    bridges = _maker(tmp_path).bridges("shift", _recipe().bridges["shift"], [4, 5, 6])
    assert len(bridges) == 3
    assert bridges[0] is bridges[1] is bridges[2]
    assert [path.name for path in (tmp_path / "bridges" / "shift").iterdir()] == ["4"]


def test_what_was_made_by_other_settings_or_of_other_embeddings_is_refused(tmp_path: Path) -> None:
    _maker(tmp_path).bridges("mlp", _recipe().bridges["mlp"], [0])
    changed = _recipe(bridges={"mlp": _MLP | {"batch_size": 4}}).bridges["mlp"]
    with pytest.raises(TrainingError, match="other settings or data"):
        _maker(tmp_path).bridges("mlp", changed, [0])
    with pytest.raises(TrainingError, match="other settings or data"):
        _maker(tmp_path, "another").bridges("mlp", _recipe().bridges["mlp"], [0])


def test_a_quick_look_takes_the_first_seeds() -> None:
    recipe = _recipe(seeds=[8, 6, 4])
    assert recipe.first_seeds(2).seeds == (8, 6)
    assert recipe.first_seeds(None) is recipe
    for count in (0, 4):
        with pytest.raises(RecipeError, match=f"has 3 seeds, so not {count}"):
            recipe.first_seeds(count)


def test_five_seeds_unless_the_recipe_says_otherwise() -> None:
    assert _recipe().seeds == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [-1]},
        {"bridges": {}},
        {"bridges": {"../up": {"kind": "ridge"}}},
        {"bridges": {"a": {"kind": "magic"}}},
        {"colour": 1},
    ],
)
def test_a_wrong_section_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _recipe(**settings)


def test_no_bridge_may_be_called_as_the_folder_of_the_shared_decoder() -> None:
    with pytest.raises(ValidationError, match="no bridge may have the name 'text': the decoder that they share"):
        _recipe(bridges={"text": {"kind": "ridge"}})
    assert list(_recipe(bridges={"text-2": {"kind": "ridge"}}).bridges) == ["text-2"]


def test_who_sees_a_part_of_the_scenes_alone_is_known() -> None:
    assert _recipe().pairs_shares == {}
    bridges = {"all": {"kind": "ridge"}, "few": {"kind": "ridge", "pairs_share": 0.25}}
    assert _recipe(bridges=bridges).pairs_shares == {"few": 0.25}


_CAPTIONS = {"decoder": {"loop": {"steps": 1, "learning_rate": 1e-3}}}


def test_captions_are_compared_under_the_first_seeds() -> None:
    recipe = _recipe(captions=_CAPTIONS)
    assert recipe.captions is not None
    assert recipe.captions.seeds == 3
    fewer = recipe.first_caption_seeds(2)
    assert fewer.captions is not None
    assert (fewer.captions.seeds, fewer.captions.decoder, fewer.seeds) == (2, recipe.captions.decoder, recipe.seeds)
    assert recipe.first_caption_seeds(None) is recipe
    for count in (1, 4):
        with pytest.raises(RecipeError, match=f"2 to 3 of the seeds, so not under {count}"):
            recipe.first_caption_seeds(count)


def test_captions_need_no_more_seeds_than_there_are() -> None:
    assert _recipe(captions=_CAPTIONS, seeds=[4, 5, 6]).captions is not None
    with pytest.raises(ValidationError, match="is 3, and there are 2"):
        _recipe(captions=_CAPTIONS, seeds=[4, 5])


def test_a_sweep_names_bridges_and_settings_that_are_there() -> None:
    sweep = {"title": "Rate", "bridges": ["mlp"], "setting": "batch_size", "values": [4, 16]}
    assert _recipe(sweeps=[sweep]).sweeps[0].seeds == 2
    for change, message in (
        ({"bridges": ["magic"]}, "the sweep 'Rate': the comparison has no bridge 'magic'"),
        ({"setting": "speed"}, "the sweep 'Rate', bridge 'mlp': .*no setting 'speed'"),
        ({"values": [4, -1]}, "the sweep 'Rate', bridge 'mlp': batch_size = -1: .*greater than 0"),
        ({"seeds": 6}, "the sweep 'Rate' asks for 6 seeds, and the comparison has 5"),
    ):
        with pytest.raises(ValidationError, match=message):
            _recipe(sweeps=[sweep | change])


def test_captions_may_be_of_some_bridges_alone() -> None:
    assert _recipe().captioned == ()
    assert _recipe(captions=_CAPTIONS).captioned == ("mlp", "shift")
    assert _recipe(captions=_CAPTIONS | {"bridges": ["shift"]}).captioned == ("shift",)
    with pytest.raises(ValidationError, match=r"captions\.bridges: the comparison has no bridge 'line'"):
        _recipe(captions=_CAPTIONS | {"bridges": ["shift", "line"]})
