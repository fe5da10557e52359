"""evaluate report: the page holds what was measured, a second run writes the same, and it can begin with a corpus alone."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from models.clap.encoder import ClapEncoder
from models.clap.store import save_clap
from models.errors import RecipeError, TrainingError
from models.evaluation.caption_report import caption_tables
from models.evaluation.compare_captions import caption_reader, compare_captions_report
from models.evaluation.compare_report import ComparisonReport, compare_report
from models.evaluation.comparison import BridgeMaker
from models.training.embed import EmbeddingSet
from models.training.loop import TrainingLoop
from models.training.recipe import Recipe
from tests.models.training_work import write_corpus

_NETWORK = {
    "loop": {"steps": 3, "learning_rate": 3e-3, "warmup_steps": 1, "evaluate_every": 3},
    "batch_size": 8,
    "denoiser": {"hidden_dim": 8, "timestep_dim": 8},
}
_COMPARISON: dict[str, Any] = {
    "seeds": [0, 1],
    "bridges": {
        "identity": {"kind": "identity"},
        "ridge": {"kind": "ridge"},
        "diffusion-link": {"kind": "diffusion-link"} | _NETWORK,
    },
    "sweeps": [{"title": "How heavy", "setting": "loss.topology_weight", "values": [0.5, 2.0]}],
}


def _recipe(folder: Path, **comparison: Any) -> Recipe:
    counts = dict.fromkeys(("encoder_scenes", "bridge_scenes", "validation_scenes", "test_scenes"), 1)
    corpus = {"sounds": folder / "sounds.csv", "recordings": folder / "recordings.csv", **counts}
    return Recipe.model_validate({"corpus": corpus, "comparison": _COMPARISON | comparison})


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    save_clap(tiny_clap, tmp_path / "stored")
    (tmp_path / "work").mkdir()
    write_corpus(tmp_path / "work")
    return tmp_path / "work"


def test_from_a_corpus_to_a_page_and_again(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, directory = _recipe(work, encoder=work.parent / "stored"), work / "evaluation-report"
    compare_report(recipe, work, "cpu", "test")
    assert f"Written to {directory}" in capsys.readouterr().out
    plots = ["gap-retrieval", "migration-diffusion-link", "migration-others", "paired-cosines", "sweep-1"]
    assert sorted(path.stem for path in (directory / "plots").iterdir()) == plots
    page, text = ((directory / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for name in plots:
        assert f"(plots/{name}.svg)" in text
        assert f'id="{name}-' in page
    report = ComparisonReport.model_validate_json((directory / "report.json").read_text(encoding="utf-8"))
    assert (report.gap.split, report.gap.pairs, report.captions) == ("test", 6, None)
    (sweep,) = report.sweeps
    # Settings are never chosen on the split that is reported.
    assert (sweep.split, sweep.pairs) == ("validation", 8)
    shown = f"{report.gap.bridges[1].centred.paired_cosine.mean:.3f}"
    for words in (shown, "How heavy", "Place of", "validation split (8 scenes)", "one alone, ms"):
        assert words in text
        assert words in page
    speeds = json.loads((directory / "speed.json").read_bytes())
    assert [bridge["name"] for bridge in speeds["bridges"]] == list(_COMPARISON["bridges"])

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TrainingLoop, "run", refuse)
    before = {path: path.read_bytes() for path in [directory / "report.json", *(directory / "plots").iterdir()]}
    compare_report(recipe, work, "cpu", "test")
    assert before == {path: path.read_bytes() for path in before}


_DECODER = {
    "language_model": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "max_positions": 8, "dropout": 0.0},
    "vocab_size": 300,
    "prefix_length": 2,
    "projector_dim": 16,
    "generation": {"num_beams": 1},
    "batch_size": 16,
    "loop": {"steps": 3, "learning_rate": 1e-2, "warmup_steps": 1, "evaluate_every": 3},
}


def test_captions_are_taken_in_where_the_recipe_has_them(work: Path) -> None:
    (work / "sounds.csv").write_text("sound,kind,phrases\ndog,thing,a dog barks\n", encoding="utf-8")
    bridges = {"identity": {"kind": "identity"}}
    captions = {"seeds": 2, "decoder": _DECODER}
    recipe = _recipe(work, encoder=work.parent / "stored", bridges=bridges, sweeps=[], captions=captions)
    compare_report(recipe, work, "cpu", "test")
    directory = work / "evaluation-report"
    report = ComparisonReport.model_validate_json((directory / "report.json").read_text(encoding="utf-8"))
    maker, held_out = BridgeMaker.load(work, "cpu"), EmbeddingSet.load(work, "test")
    assert report.captions == compare_captions_report(recipe, caption_reader(recipe), maker, held_out, "test")
    for path in (directory / "report.md", directory / "report.html"):
        text = path.read_text(encoding="utf-8")
        for table in caption_tables(report.captions):
            assert table.title in text
        assert "Which data each part saw" in text


def test_a_table_of_sounds_that_is_missing_is_named_before_anything_is_made(work: Path) -> None:
    captions = {"seeds": 2, "decoder": _DECODER}
    with pytest.raises(RecipeError, match=r"sounds\.csv"):
        compare_report(_recipe(work, encoder=work.parent / "stored", captions=captions), work, "cpu", "test")
    assert not (work / "embeddings").exists()
    assert not (work / "bridges").exists()


def test_another_split_has_a_folder_of_its_own(work: Path) -> None:
    recipe = _recipe(work, encoder=work.parent / "stored", sweeps=[])
    compare_report(recipe, work, "cpu", "validation")
    assert not (work / "evaluation-report").exists()
    directory = work / "evaluation-report-validation"
    assert json.loads((directory / "report.json").read_bytes())["gap"]["split"] == "validation"
    assert "## Sweeps" not in (directory / "report.md").read_text(encoding="utf-8")


def test_without_encoder_or_embeddings_the_command_that_makes_them_is_named(work: Path) -> None:
    with pytest.raises(TrainingError, match="run `diffusion-link embed`"):
        compare_report(_recipe(work), work, "cpu", "test")


def test_without_matplotlib_it_is_said_before_anything_is_trained(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("report_plots", "comparison_plots", "sweep_plots", "plot_style"):
        monkeypatch.delitem(sys.modules, f"models.evaluation.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TrainingError, match=r"plots need matplotlib: run `make setup`.*extra `train`"):
        compare_report(_recipe(work, encoder=work.parent / "stored"), work, "cpu", "test")
    assert not (work / "embeddings").exists()


def test_without_a_comparison_there_is_nothing_to_report(work: Path) -> None:
    recipe = _recipe(work).model_copy(update={"comparison": None})
    with pytest.raises(RecipeError, match=r"no section \[comparison\]"):
        compare_report(recipe, work, "cpu", "test")
