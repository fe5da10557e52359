"""Recipes: what is in the file is what is done, and what is not understood is refused by name."""

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.training.recipe import read_recipe
from models.training.train_bridge import DiffusionLinkRecipe

_ROOT = Path(__file__).parents[2]
_CORPUS = """
[corpus]
sounds = "sounds.csv"
recordings = "recordings.csv"
encoder_scenes = 1
bridge_scenes = 1
validation_scenes = 1
test_scenes = 1
"""


@pytest.mark.parametrize("path", sorted((_ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_understood(path: Path) -> None:
    assert read_recipe(path).corpus.test_scenes > 0


def test_settings_reach_their_sections() -> None:
    recipe = read_recipe(_ROOT / "recipes" / "tiny.toml")
    assert isinstance(recipe.bridge, DiffusionLinkRecipe)
    assert recipe.bridge.loop.steps == 100
    assert recipe.bridge.denoiser.hidden_dim == 64
    assert recipe.decoder is not None
    assert recipe.decoder.inputs.bridged == 0.5
    assert recipe.export is not None
    assert recipe.export.name == "tiny"


def test_sections_of_stages_that_are_not_run_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(_CORPUS, encoding="utf-8")
    recipe = read_recipe(path)
    assert recipe.clap is recipe.bridge is recipe.decoder is recipe.export is None
    assert recipe.evaluate.split == "test"


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("colour = 1\n", "corpus.colour"),
        ("[brigde]\n", "brigde"),
        ('[bridge]\nkind = "ridge"\nsteps = 3\n', "bridge.ridge.steps"),
        ('[bridge]\nkind = "teleport"\n', "bridge"),
        ("[decoder]\nbatch_size = 0\n[decoder.loop]\nsteps = 1\nlearning_rate = 1\n", "decoder.batch_size"),
        ("[decoder.loop]\nsteps = 1\nlearning_rate = nan\n", "decoder.loop.learning_rate"),
        ('[embed]\nsplits = ["train"]\n', "embed.splits.0"),
        ('[export]\nname = "a b"\nlicence = "MIT"\n', "export.name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, added: str, named: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(_CORPUS + added, encoding="utf-8")
    with pytest.raises(RecipeError, match=named) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"[corpus", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="is not TOML"):
        read_recipe(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "nothing.toml")
