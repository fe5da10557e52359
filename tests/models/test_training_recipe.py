"""Recipes: what is in the file is what is done, and what is not understood is refused by name."""

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.training.bridge_recipe import DiffusionLinkRecipe, LearnedBridgeRecipe
from models.training.recipe import read_recipe

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
    recipe = read_recipe(path)
    assert recipe.data is not None or recipe.scenes.test_scenes > 0


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


def test_sections_that_a_recipe_lacks_are_its_base_s(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(_CORPUS + '[bridge]\nkind = "ridge"\n[evaluate]\nseed = 5\n', encoding="utf-8")
    path = tmp_path / "a.toml"
    path.write_text('base = "b.toml"\n[bridge]\nkind = "identity"\n', encoding="utf-8")
    recipe = read_recipe(path)
    assert recipe.bridge is not None
    assert (recipe.bridge.kind, recipe.evaluate.seed, recipe.corpus.test_scenes) == ("identity", 5, 1)


def test_the_comparison_is_of_all_bridges_on_what_the_embedded_artifact_is_made_of() -> None:
    recipe, embedded = (read_recipe(_ROOT / "recipes" / f"{name}.toml") for name in ("bridges", "embedded"))
    assert (recipe.corpus, recipe.clap) == (embedded.corpus, embedded.clap)
    assert recipe.comparison is not None
    kinds = [bridge.kind for bridge in recipe.comparison.bridges.values()]
    assert len(kinds) == len(set(kinds)) == 10
    assert len(recipe.comparison.seeds) >= 5
    learned = [bridge for bridge in recipe.comparison.bridges.values() if isinstance(bridge, LearnedBridgeRecipe)]
    assert len(learned) == 4
    # The same network and as many batches; dropout is what served each best.
    networks = [bridge.denoiser.model_copy(update={"dropout": 0.0}) for bridge in learned]
    assert len({(net, bridge.batch_size, bridge.loop.steps) for net, bridge in zip(networks, learned, strict=True)}) == 1
    assert recipe.comparison.captions is not None
    assert recipe.comparison.captions.seeds >= 3


@pytest.mark.parametrize("base", ['"nothing.toml"', '"../a.toml"', "3"])
def test_a_base_that_is_none_is_named(tmp_path: Path, base: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"base = {base}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"nothing\.toml cannot be read|base: .* is not the name of a recipe beside"):
        read_recipe(path)


@pytest.mark.parametrize("content", [b"[corpus", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="is not TOML"):
        read_recipe(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path / "nothing.toml")


def test_the_warm_encoder_learns_its_temperature_on_the_same_corpus() -> None:
    warm, embedded = (read_recipe(_ROOT / "recipes" / f"{name}.toml") for name in ("warm", "embedded"))
    assert warm.corpus == embedded.corpus
    assert warm.clap is not None
    assert embedded.clap is not None
    assert warm.clap.learn_temperature
    assert not embedded.clap.learn_temperature
    assert warm.clap.model.temperature > embedded.clap.model.temperature


_DATA = '[data]\nkind = "clotho"\nfolder = "clotho"\n'


def test_a_data_set_takes_the_place_of_scenes(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(_DATA, encoding="utf-8")
    recipe = read_recipe(path)
    assert recipe.data is not None
    assert (recipe.data.kind, recipe.data.max_bad_share) == ("clotho", 0.02)
    with pytest.raises(RecipeError, match=r"no section \[corpus\]"):
        _ = recipe.scenes
    (tmp_path / "b.toml").write_text(_CORPUS, encoding="utf-8")
    scenes = read_recipe(tmp_path / "b.toml")
    assert scenes.scenes is scenes.corpus
    # Recipes of scenes stay what they were where they are written down.
    assert "data" not in scenes.model_dump(mode="json")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (_DATA + _CORPUS, "recipe: .*either"),
        ("", "recipe: .*either"),
        (_DATA + "[clap]\nloop = { steps = 1, learning_rate = 1 }\n", "recipe: .*use a released encoder"),
        (_DATA + "held_out_share = 0.1\n", "data.clotho.held_out_share"),
        ('[data]\nkind = "macs"\nfolder = "a"\n', "data: .*'audiocaps', 'clotho', 'manifest', 'wavcaps'"),
        ('[data]\nkind = "clotho"\n', "data.clotho.folder"),
        (_DATA + "max_bad_share = 1.5\n", "data.clotho.max_bad_share"),
    ],
)
def test_what_is_wrong_with_a_data_set_s_section_is_named(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=named):
        read_recipe(path)


@pytest.mark.parametrize("name", ["audiocaps", "clotho"])
def test_the_production_recipes_have_the_field_s_settings(name: str) -> None:
    supervised, zeroshot = (read_recipe(_ROOT / "recipes" / f"{stem}.toml") for stem in (name, f"{name}_zeroshot"))
    assert (supervised.data, supervised.bridge) == (zeroshot.data, zeroshot.bridge)
    assert supervised.data is not None
    assert supervised.data.kind == name
    assert supervised.decoder is not None
    assert zeroshot.decoder is not None
    assert supervised.decoder.inputs.bridged_share == 1
    assert zeroshot.decoder.inputs.bridged_share == 0
    # The rest is equal: what the decoder reads is all that the two differ in.
    assert supervised.decoder == zeroshot.decoder.model_copy(update={"inputs": supervised.decoder.inputs})
    model = supervised.decoder.language_model
    assert model.kind == "pretrained"
    assert (model.lora.rank, model.lora.alpha, tuple(model.lora.targets)) == (8, 32, ("q_proj", "v_proj"))
    assert 0.05 <= model.lora.dropout <= 0.1
    assert (supervised.decoder.loop.learning_rate, supervised.decoder.generation.num_beams) == (1e-4, 4)
