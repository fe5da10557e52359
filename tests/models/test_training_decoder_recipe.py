"""The decoder's section of a recipe: which language model, and what may be said of which."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.training.decoder_recipe import DecoderRecipe, PretrainedLanguageModelRecipe, SmallLanguageModelRecipe

_LOOP = {"steps": 1, "learning_rate": 1e-3}
_RELEASED = {"kind": "pretrained", "source": "team/model"}


def _recipe(language_model: dict[str, Any] | None = None, **settings: Any) -> DecoderRecipe:
    model = {} if language_model is None else {"language_model": language_model}
    return DecoderRecipe.model_validate({"loop": _LOOP} | model | settings)


@pytest.mark.parametrize("settings", [None, {}, {"kind": "small"}, {"hidden_size": 256}])
def test_a_recipe_that_does_not_say_trains_a_small_model(settings: dict[str, Any] | None) -> None:
    recipe = _recipe(settings)
    assert recipe.language_model == SmallLanguageModelRecipe()
    # Runs that were begun before there was a choice of kinds are told by the text of their settings.
    assert "kind" not in recipe.model_dump(mode="json")["language_model"]


def test_a_released_model_has_the_fields_usual_settings() -> None:
    model = _recipe(_RELEASED).language_model
    assert isinstance(model, PretrainedLanguageModelRecipe)
    assert (model.tuning, model.prompt, model.chat, model.revision) == ("lora", "{audio}", False, None)
    assert (model.lora.rank, model.lora.alpha, model.lora.targets) == (8, 32, ("q_proj", "v_proj"))


@pytest.mark.parametrize("settings", [None, _RELEASED, _RELEASED | {"tuning": "frozen"}, {"num_layers": 2}])
def test_a_recipe_written_down_is_the_same_read_again(settings: dict[str, Any] | None) -> None:
    recipe = _recipe(settings)
    assert DecoderRecipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert DecoderRecipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kind": "huge"}, "huge"),
        ({"kind": "pretrained"}, "source"),
        (_RELEASED | {"source": ""}, "source"),
        (_RELEASED | {"hidden_size": 8}, "hidden_size"),
        ({"source": "team/model"}, "source"),
        (_RELEASED | {"tuning": "some"}, "tuning"),
        (_RELEASED | {"prompt": "Describe."}, "audio"),
        (_RELEASED | {"prompt": "{audio}{audio}"}, "audio"),
        (_RELEASED | {"tuning": "full", "lora": {"rank": 2}}, "no meaning with tuning 'full'"),
        (_RELEASED | {"lora": {"rank": 0}}, "rank"),
        (_RELEASED | {"lora": {"targets": []}}, "targets"),
        (_RELEASED | {"lora": {"dropout": 1.0}}, "dropout"),
        (3, "language_model"),
    ],
)
def test_a_wrong_language_model_is_refused_by_name(settings: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        _recipe(settings)


def test_a_vocabulary_is_of_a_small_model_only() -> None:
    assert _recipe({}, vocab_size=300).vocab_size == 300
    with pytest.raises(ValidationError, match="vocab_size"):
        _recipe(_RELEASED, vocab_size=300)
