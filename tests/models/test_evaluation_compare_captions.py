"""evaluate captions: what is written is what bridge and decoder of a seed write, and a second run says the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch.nn import functional

from models.bridge.store import load_bridge
from models.clap.encoder import ClapEncoder
from models.clap.store import save_clap
from models.decoder.store import load_decoder
from models.errors import RecipeError, TrainingError
from models.evaluation.caption_comparison import SETTINGS
from models.evaluation.caption_figures import measure_captions, measure_references
from models.evaluation.caption_results import CaptionReport
from models.evaluation.compare_captions import caption_reader, compare_captions, compare_captions_report
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.events import EventReader
from models.training.corpus import CorpusRecipe
from models.training.embed import EmbeddingSet, EmbedRecipe, embed
from models.training.loop import TrainingLoop
from models.training.recipe import Recipe
from models.training.scenes import SceneSet
from tests.models.training_work import write_clap, write_corpus

_TABLE = "sound,kind,phrases\ndog,thing,a dog barks;a dog closes\ncat,thing,a cat barks;a cat closes\n"
_LOOP = {"learning_rate": 1e-2, "warmup_steps": 1}
_NETWORK = {"loop": _LOOP | {"steps": 3}, "batch_size": 16, "denoiser": {"hidden_dim": 16, "timestep_dim": 8}}
_DECODER: dict[str, Any] = {
    "language_model": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "max_positions": 8, "dropout": 0.0},
    "vocab_size": 300,
    "prefix_length": 2,
    "projector_dim": 16,
    "generation": {"num_beams": 2},
    "batch_size": 16,
    "loop": _LOOP | {"steps": 10, "evaluate_every": 10},
}
_BRIDGES: dict[str, Any] = {
    "none": {"kind": "identity"},
    "apart": {"kind": "c3"},
    "ours": {"kind": "diffusion-link", "sampling": {"noise_scale": 1.0}} | _NETWORK,
}
_SEEDS = (3, 7)
_TAKING_PART = {
    "zero-shot": ("none", "apart", "ours"),
    "zero-shot, augmented": ("none", "ours"),
    "supervised": ("none", "apart", "ours"),
}


def _recipe(work: Path) -> Recipe:
    (work.parent / "sounds.csv").write_text(_TABLE, encoding="utf-8")
    corpus = CorpusRecipe(
        sounds=work.parent / "sounds.csv",
        recordings=work.parent / "recordings.csv",
        encoder_scenes=6,
        bridge_scenes=24,
        validation_scenes=8,
        test_scenes=6,
    )
    captions = {"seeds": 2, "decoder": _DECODER}
    content = {"seeds": (*_SEEDS, 9), "bridges": _BRIDGES, "captions": captions}
    return Recipe(corpus=corpus, comparison=ComparisonRecipe.model_validate(content))


def _only(work: Path, name: str) -> Recipe:
    """The comparison with one bridge alone."""
    recipe = _recipe(work)
    assert recipe.comparison is not None
    bridges = {name: recipe.comparison.bridges[name]}
    return recipe.model_copy(update={"comparison": recipe.comparison.model_copy(update={"bridges": bridges})})


def _prepare(work: Path, encoder: ClapEncoder) -> Path:
    work.mkdir()
    write_corpus(work)
    write_clap(work, encoder)
    embed(EmbedRecipe(), work, "cpu", resume=False)
    return work


@pytest.fixture(scope="module")
def work(tiny_clap: ClapEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that has been made; shared, and every test runs it again."""
    work = _prepare(tmp_path_factory.mktemp("captions") / "work", tiny_clap)
    compare_captions(_recipe(work), work, "cpu", "test")
    return work


def _report(work: Path) -> CaptionReport:
    return CaptionReport.model_validate_json((work / "evaluation-captions" / "report.json").read_bytes())


def _lines(work: Path) -> list[dict[str, Any]]:
    text = (work / "evaluation-captions" / "captions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_decoder_is_made_and_kept(work: Path) -> None:
    made = {str(path.parent.relative_to(work)) for path in work.glob("decoders*/*/*/model")}
    zero_shot = {f"decoders/{name}/{seed}" for name in ("text", "apart", "ours") for seed in _SEEDS}
    assert made == zero_shot | {f"decoders-supervised/{name}/{seed}" for name in _BRIDGES for seed in _SEEDS}


def test_captions_are_those_of_bridge_and_decoder_of_a_seed(work: Path) -> None:
    audio = EmbeddingSet.load(work, "test").audio
    lines, seed = _lines(work), 7
    bridged = load_bridge(work / "bridges/ours/7/model")(audio, range(seed * len(audio), (seed + 1) * len(audio)))
    for setting, folder in zip(SETTINGS, ("decoders/text/7", "decoders/ours/7", "decoders-supervised/ours/7"), strict=True):
        decoder = load_decoder(work / folder / "model")
        texts = decoder.generate(bridged, seeds=[0] * len(audio), candidates=1, max_new_tokens=32)
        assert [line["captions"][setting]["ours"]["7"] for line in lines] == [text for (text,) in texts]


def test_without_a_bridge_audio_is_read_by_the_same_decoders(work: Path) -> None:
    audio, lines = EmbeddingSet.load(work, "test").audio, _lines(work)
    for setting, folder in (("zero-shot", "decoders/text/7"), ("zero-shot, augmented", "decoders/ours/7")):
        plain = functional.normalize(audio, dim=1)
        texts = load_decoder(work / folder / "model").generate(plain, seeds=[0] * 6, candidates=1, max_new_tokens=32)
        assert [line["captions"][setting]["none"]["7"] for line in lines] == [text for (text,) in texts]


def test_captions_differ_by_bridge_setting_and_seed(work: Path) -> None:
    written = [
        tuple(line["captions"][setting][name][str(seed)] for line in _lines(work))
        for setting in SETTINGS
        for name in ("none", "ours")
        for seed in _SEEDS
    ]
    assert len(set(written)) >= 6


def test_figures_are_those_of_the_captions_that_are_written_out(work: Path) -> None:
    report, lines = _report(work), _lines(work)
    records = SceneSet.load(work / "corpus", "test").records
    assert [(line["id"], tuple(line["truth"]), tuple(line["references"])) for line in lines] == [
        (record.id, record.sounds, record.captions) for record in records
    ]
    reader = EventReader({"dog": ["a dog barks", "a dog closes"], "cat": ["a cat barks", "a cat closes"]})
    assert [(bridge.setting, bridge.name) for bridge in report.bridges] == [
        (setting, name) for setting, names in _TAKING_PART.items() for name in names
    ]
    assert {setting: tuple(names) for setting, names in lines[0]["captions"].items()} == _TAKING_PART
    for bridge in report.bridges:
        runs = [[line["captions"][bridge.setting][bridge.name][str(seed)] for line in lines] for seed in _SEEDS]
        (measured,), left_out = measure_captions([runs], records, reader)
        assert (bridge.figures, bridge.cider_d_by_seed) == measured
        assert report.left_out == left_out
        assert bridge.own_decoder == (bridge.name == "apart" and bridge.setting == "zero-shot")
    assert report.references == measure_references(records)
    assert (report.split, report.scenes, report.seeds) == ("test", 6, _SEEDS)
    assert [(one.setting, one.ours, one.rival) for one in report.margins] == [
        (setting, "ours", rival) for setting, names in _TAKING_PART.items() for rival in names if rival != "ours"
    ]


def test_the_report_says_what_was_seen_and_shows_some_captions(work: Path) -> None:
    report, lines = _report(work), {line["id"]: line for line in _lines(work)}
    seen = report.seen.model_dump()
    assert seen == {"encoder_trained_here": False, "encoder_scenes": 6, "encoder_captions": 15,
                    "bridge_scenes": 24, "bridge_captions": 60, "pairs_shares": {},
                    "noise_variance": 0.016, "augmenter": "ours"}  # fmt: skip
    assert len({sample.id for sample in report.samples}) == 5
    for sample in report.samples:
        assert list(sample.captions["zero-shot"]) == ["none", "ours"]
        for setting in SETTINGS:
            for name, caption in sample.captions[setting].items():
                assert caption == lines[sample.id]["captions"][setting][name]["3"]


def test_a_second_run_trains_nothing_and_says_the_same(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = work / "evaluation-captions"
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert sorted(before) == ["captions.jsonl", "report.json", "report.md"]

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TrainingLoop, "run", refuse)
    compare_captions(_recipe(work), work, "cpu", "test")
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert before["report.md"].decode() in capsys.readouterr().out
    # Another split is never taken for the first, and a report for others leaves no trace.
    folders = sorted(path.name for path in work.iterdir())
    plain, maker, held_out = _only(work, "none"), BridgeMaker.load(work, "cpu"), EmbeddingSet.load(work, "validation")
    report = compare_captions_report(plain, caption_reader(plain), maker, held_out, "validation")
    assert [bridge.setting for bridge in report.bridges] == ["zero-shot", "supervised"]
    assert (report.split, report.scenes) == ("validation", 8)
    assert "### Captions" not in capsys.readouterr().out
    assert sorted(path.name for path in work.iterdir()) == folders
    compare_captions(_only(work, "none"), work, "cpu", "validation")
    text = (work / "evaluation-captions-validation" / "report.json").read_bytes()
    assert CaptionReport.model_validate_json(text) == report
    assert (directory / "report.json").read_bytes() == before["report.json"]


def test_it_can_begin_with_a_corpus_alone_and_knows_what_it_copied(tmp_path: Path, tiny_clap: ClapEncoder) -> None:
    save_clap(tiny_clap, tmp_path / "stored")
    work = tmp_path / "work"
    work.mkdir()
    write_corpus(work)
    recipe = _only(work, "none")
    assert recipe.comparison is not None
    comparison = recipe.comparison.model_copy(update={"encoder": tmp_path / "stored"})
    recipe = recipe.model_copy(update={"comparison": comparison})
    compare_captions(recipe, work, "cpu", "test")
    assert not _report(work).seen.encoder_trained_here
    (work / "clap" / "log.jsonl").write_text("{}\n")
    compare_captions(recipe, work, "cpu", "test")
    assert _report(work).seen.encoder_trained_here


def test_without_its_section_or_embeddings_nothing_is_compared(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path / "work")
    with pytest.raises(TrainingError, match="run `diffusion-link embed`"):
        compare_captions(recipe, tmp_path / "work", "cpu", "test")
    assert recipe.comparison is not None
    silent = recipe.comparison.model_copy(update={"captions": None})
    for comparison in (None, silent):
        with pytest.raises(RecipeError, match=r"no section \[comparison.captions\]"):
            compare_captions(recipe.model_copy(update={"comparison": comparison}), tmp_path, "cpu", "test")


def test_training_again_gives_the_same_captions(work: Path, tmp_path: Path, tiny_clap: ClapEncoder) -> None:
    other = _prepare(tmp_path / "work", tiny_clap)
    compare_captions(_only(other, "ours"), other, "cpu", "test")
    for line, again in zip(_lines(work), _lines(other), strict=True):
        for setting in SETTINGS:
            assert line["captions"][setting]["ours"] == again["captions"][setting]["ours"]
