"""The recipe's section, and tables that are strict JSON."""

import pytest
from pydantic import ValidationError

from models.evaluation.settings import EvaluateRecipe, Figures


class _Share(Figures):
    share: float


def test_the_test_split_is_measured_unless_the_recipe_says_otherwise() -> None:
    assert EvaluateRecipe().split == "test"
    assert EvaluateRecipe(split="validation").split == "validation"


@pytest.mark.parametrize("section", [{"beams": 3}, {"split": "train"}, {"seed": -1}, {"gap_seeds": 1}, {"candidates": 0}])
def test_unknown_keys_and_impossible_values_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EvaluateRecipe.model_validate(section)


@pytest.mark.parametrize("share", [float("nan"), float("inf")])
def test_a_table_holds_no_number_that_json_lacks(share: float) -> None:
    with pytest.raises(ValidationError):
        _Share(share=share)
