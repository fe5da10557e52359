"""The recipe of a training: one TOML file with a section a stage, refused if it holds anything unknown.

Each section is defined beside the stage that it steers; this module only puts them together.
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import RecipeError, validation_faults
from models.evaluation.settings import EvaluateRecipe
from models.training.corpus import CorpusRecipe
from models.training.embed import EmbedRecipe
from models.training.export import ExportRecipe
from models.training.train_bridge import BridgeRecipe
from models.training.train_clap import ClapRecipe
from models.training.train_decoder import DecoderRecipe


class Recipe(BaseModel):
    """All that a training needs to be done again; a section may be missing where its stage is not run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: CorpusRecipe
    clap: ClapRecipe | None = None
    """Missing where the encoder is a released one."""
    embed: EmbedRecipe = EmbedRecipe()
    bridge: BridgeRecipe | None = None
    decoder: DecoderRecipe | None = None
    evaluate: EvaluateRecipe = EvaluateRecipe()
    export: ExportRecipe | None = None


def missing_section(name: str) -> RecipeError:
    """The error of a stage whose section the recipe does not have."""
    return RecipeError(f"the recipe has no section [{name}]")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: the file cannot be read, is not TOML, or holds a wrong or unknown setting; the message names it.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {'; '.join(validation_faults(error))}") from error
