"""The recipe of a training: one TOML file with a section a stage, refused if it holds anything unknown.

Each section is defined beside the stage that it steers; this module only puts them together. A recipe can name another
one beside it as its `base`: the sections that it lacks are that one's.
"""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import RecipeError, validation_faults
from models.evaluation.comparison import ComparisonRecipe
from models.evaluation.settings import EvaluateRecipe
from models.training.bridge_recipe import BridgeRecipe
from models.training.corpus import CorpusRecipe
from models.training.data_recipe import DataRecipe
from models.training.decoder_recipe import DecoderRecipe
from models.training.embed import EmbedRecipe
from models.training.export import ExportRecipe
from models.training.train_clap import ClapRecipe


class Recipe(BaseModel):
    """All that a training needs to be done again; a section may be missing where its stage is not run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: CorpusRecipe | None = None
    """Scenes that are mixed from a table of sounds; or instead"""
    data: DataRecipe | None = Field(default=None, exclude_if=lambda value: value is None)
    """a data set of recordings with captions."""
    clap: ClapRecipe | None = None
    """Missing where the encoder is a released one."""
    embed: EmbedRecipe = EmbedRecipe()
    bridge: BridgeRecipe | None = None
    decoder: DecoderRecipe | None = None
    evaluate: EvaluateRecipe = EvaluateRecipe()
    comparison: ComparisonRecipe | None = None
    export: ExportRecipe | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Recipe":
        if (self.corpus is None) == (self.data is None):
            raise ValueError("a recipe has either [corpus] or [data]")
        if self.data is not None and self.clap is not None:
            raise ValueError("[clap] trains an encoder on scenes, and [data] has none: use a released encoder")
        return self

    @property
    def scenes(self) -> CorpusRecipe:
        """The section [corpus], for what needs scenes and the table of their sounds.

        Raises:
            RecipeError: the recipe has [data] instead.
        """
        if self.corpus is None:
            raise missing_section("corpus")
        return self.corpus


def missing_section(name: str) -> RecipeError:
    """The error of a stage whose section the recipe does not have."""
    return RecipeError(f"the recipe has no section [{name}]")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: the file cannot be read, is not TOML, or holds a wrong or unknown setting; the message names it.
    """
    content = _read_toml(path)
    if "base" in content:
        content = _read_toml(_base(path, content.pop("base"))) | content
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {'; '.join(validation_faults(error, 'recipe'))}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error


def _base(path: Path, name: object) -> Path:
    """The recipe that `path` names as its base, in the same folder."""
    if not isinstance(name, str) or Path(name).name != name:
        raise RecipeError(f"{path}: base: {name!r} is not the name of a recipe beside this one")
    return path.with_name(name)
