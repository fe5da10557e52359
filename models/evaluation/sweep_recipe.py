"""What a recipe says about sweeps: one setting of a bridge, the values that it takes, and the bridge's recipe with each."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StrictBool,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from models.errors import validation_faults
from models.training.bridge_recipe import BridgeRecipe

Value = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Of a setting; it becomes part of a folder's name."""
Setting = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
_BRIDGE: TypeAdapter[BridgeRecipe] = TypeAdapter(BridgeRecipe)


class SweepRecipe(BaseModel):
    """One setting of one bridge or several, and the values that are tried."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str = Field(min_length=1)
    bridges: tuple[str, ...] = Field(default=("diffusion-link",), min_length=1)
    """Names of bridges of the comparison."""
    setting: Setting
    """Its path inside the bridge's recipe, as in `loss.topology_weight`."""
    values: tuple[Value, ...] = Field(min_length=2)
    fixed: dict[Setting, Value] = Field(default_factory=dict)
    """How all of them walk through the diffusion, where not as the recipe says; as the swept one, settings of sampling."""
    seeds: PositiveInt = 2
    """How many of the comparison's seeds: the first so many."""
    logarithmic: bool = False
    """The axis of the values; otherwise it is linear, or, for values that are no numbers, has even steps."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> "SweepRecipe":
        if len({value_word(value) for value in self.values}) < len(self.values):
            raise ValueError("the same value stands twice")
        if self.logarithmic and not all(number > 0 for number in numbers(self.values) or [0.0]):
            raise ValueError("a logarithmic axis needs numbers greater than zero")
        if self.setting in ("kind", "loop.seed"):
            raise ValueError(f"{self.setting} is no setting to sweep over: the comparison sets it")
        if self.fixed and not all(map(of_sampling, (self.setting, *self.fixed))):
            raise ValueError("`fixed` is for sweeps over settings of sampling, and holds no other settings")
        return self


def value_word(value: Value) -> str:
    """A value in a folder's name and in tables; 10 and 10.0 are the same."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value).lower()


def numbers(values: tuple[Value, ...]) -> list[float] | None:
    """The values as numbers; nothing if one of them is a word, or true or false."""
    if any(isinstance(value, bool | str) for value in values):
        return None
    return [float(value) for value in values]


def setting_of(recipe: BridgeRecipe, setting: str) -> Value:
    """What a bridge's recipe has there.

    Raises:
        ValueError: there is no such setting.
    """
    place, last = _place(recipe.model_dump(), recipe.kind, setting)
    value: Value = place[last]
    return value


def of_sampling(setting: str) -> bool:
    """Whether the training knows nothing of the setting."""
    return setting.startswith("sampling.") or setting == "num_sampling_steps"


def varied(recipe: BridgeRecipe, values: Mapping[str, Value]) -> BridgeRecipe:
    """The recipe with other values in some places.

    Raises:
        ValueError: there is no such setting, or that is no value for it.
    """
    content = recipe.model_dump()
    for setting, value in values.items():
        place, last = _place(content, recipe.kind, setting)
        place[last] = value
    try:
        return _BRIDGE.validate_python(content)
    except ValidationError as error:
        changed = ", ".join(f"{setting} = {value!r}" for setting, value in values.items())
        raise ValueError(f"{changed}: {'; '.join(validation_faults(error))}") from error


def _place(content: dict[str, Any], kind: str, setting: str) -> tuple[dict[str, Any], str]:
    *outer, last = setting.split(".")
    place: Any = content
    for word in outer:
        place = place.get(word) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
        raise ValueError(f"a bridge of the kind {kind} has no setting {setting!r}")
    return place, last
