"""Sweeps in a recipe: one setting changes and nothing else, and what cannot be swept is refused by name."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.evaluation.comparison import ComparisonRecipe
from models.evaluation.sweep_recipe import SweepRecipe, numbers, setting_of, value_word, varied
from models.training.bridge_recipe import BridgeRecipe

_LOOP = {"steps": 3, "learning_rate": 3e-3, "warmup_steps": 1}
_BRIDGES: dict[str, Any] = {"link": {"kind": "diffusion-link", "loop": _LOOP}, "line": {"kind": "ridge"}}


def _bridge(name: str) -> BridgeRecipe:
    return ComparisonRecipe.model_validate({"bridges": _BRIDGES}).bridges[name]


def _sweep(**settings: Any) -> SweepRecipe:
    return SweepRecipe.model_validate({"title": "a", "setting": "penalty", "values": [0.1, 1]} | settings)


@pytest.mark.parametrize(("name", "setting", "value"), [("link", "loss.topology_weight", 7.5), ("line", "penalty", 3),
                                                        ("link", "sampling.start_step", 40), ("link", "centred", False),
                                                        ("link", "sampling.num_sampling_steps", 9)])  # fmt: skip
def test_one_setting_changes_and_nothing_else(name: str, setting: str, value: Any) -> None:
    recipe = _bridge(name)
    changed = varied(recipe, {setting: value})
    assert setting_of(changed, setting) == value != setting_of(recipe, setting)
    assert changed != recipe
    assert varied(changed, {setting: setting_of(recipe, setting)}) == recipe


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("loss.gravity", 1, "diffusion-link has no setting 'loss.gravity'"),
        ("lose.topology_weight", 1, "has no setting"),
        ("centred.topology_weight", 1, "has no setting"),
        ("loss", 1, "has no setting"),
        ("loss.topology_weight", "much", "loss.topology_weight = 'much': .*number"),
        ("sampling.num_sampling_steps", 0, "greater than 0"),
    ],
)
def test_a_wrong_path_or_value_is_named(setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        varied(_bridge("link"), {setting: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"values": [1]}, "at least 2"),
        ({"values": [1, 1.0]}, "stands twice"),
        ({"values": [0, 1], "logarithmic": True}, "greater than zero"),
        ({"values": ["auto", 1], "logarithmic": True}, "greater than zero"),
        ({"values": ["../up", 1]}, "pattern"),
        ({"values": [float("nan"), 1]}, "finite"),
        ({"setting": "a/b"}, "pattern"),
        ({"setting": "loop.seed"}, "no setting to sweep over"),
        ({"seeds": 0}, "greater than 0"),
        ({"bridges": []}, "at least 1"),
        ({"fixed": {"sampling.start_step": 9}}, "settings of sampling"),
        ({"setting": "sampling.noise_scale", "fixed": {"centred": True}}, "settings of sampling"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _sweep(**settings)


def test_a_fixed_setting_that_no_value_goes_with_is_named() -> None:
    sweep = {"title": "far", "setting": "sampling.num_sampling_steps", "values": [1, 20], "bridges": ["link"]}
    with pytest.raises(ValidationError, match=r"sweep 'far', bridge 'link'.*num_sampling_steps must not exceed start_step"):
        ComparisonRecipe.model_validate({"bridges": _BRIDGES, "sweeps": [sweep | {"fixed": {"sampling.start_step": 10}}]})


def test_values_keep_their_kind_and_have_a_word() -> None:
    sweep = _sweep(values=[1, 0.5, True, "auto"])
    assert [type(value) for value in sweep.values] == [int, float, bool, str]
    assert [value_word(value) for value in sweep.values] == ["1", "0.5", "true", "auto"]
    assert value_word(10.0) == value_word(10) == "10"


def test_words_are_no_numbers() -> None:
    assert numbers((1, 2.5)) == [1.0, 2.5]
    assert numbers((1, "auto")) is None
    assert numbers((True, False)) is None
