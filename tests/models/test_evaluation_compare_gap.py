"""evaluate gap: known winners win, a collapse shows, spreads are those of seeds, and a second run trains nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from models.bridge.c3 import C3
from models.bridge.identity import Identity
from models.bridge.mean_shift import MeanShift
from models.bridge.ridge import Ridge
from models.bridge.sampler import seeded_noise
from models.bridge.text_memory import TextMemory
from models.clap.encoder import ClapEncoder
from models.clap.store import save_clap
from models.errors import RecipeError, TrainingError
from models.evaluation.compare_gap import compare_gap, measure_bridge, measure_bridges
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.gap_report import ComparedBridge, GapReport
from models.training.corpus import CorpusRecipe
from models.training.embed import EmbeddingSet, EmbedRecipe, embed
from models.training.loop import TrainingLoop
from models.training.recipe import Recipe
from tests.models.bridge_toy import DIM, TOPICS, toy_pairs
from tests.models.training_work import write_clap, write_corpus

_CPU = torch.device("cpu")
_LOOP = {"steps": 5, "learning_rate": 3e-3, "warmup_steps": 1, "evaluate_every": 5}
_NETWORK = {"loop": _LOOP, "batch_size": 16, "denoiser": {"hidden_dim": 16, "timestep_dim": 8}}
_BRIDGES: dict[str, Any] = {
    "identity": {"kind": "identity"},
    "mean-shift": {"kind": "mean-shift"},
    "ridge": {"kind": "ridge"},
    "c3": {"kind": "c3"},
    "text-memory": {"kind": "text-memory"},
    "realign": {"kind": "realign"},
    "mlp-regression": {"kind": "mlp-regression"} | _NETWORK,
    "diffusion-bridge": {"kind": "diffusion-bridge"} | _NETWORK,
    "conditional-prior": {"kind": "conditional-prior", "num_sampling_steps": 3} | _NETWORK,
    "diffusion-link": {"kind": "diffusion-link"} | _NETWORK,
}


def _recipe(*names: str, **settings: Any) -> ComparisonRecipe:
    bridges = {name: _BRIDGES[name] for name in names or _BRIDGES}
    return ComparisonRecipe.model_validate({"seeds": (3, 7), "bridges": bridges} | settings)


def _whole(**settings: Any) -> Recipe:
    counts = dict.fromkeys(("encoder_scenes", "bridge_scenes", "validation_scenes", "test_scenes"), 1)
    corpus = CorpusRecipe(sounds=Path("sounds.csv"), recordings=Path("recordings.csv"), **counts)
    return Recipe(corpus=corpus, comparison=_recipe(**settings))


def _pairs(seed: int, count: int = 400, **gap: float) -> EmbeddingSet:
    pairs = toy_pairs(seed, count, **gap)
    captions = [f"topic {number}" for number in pairs.topic.tolist()]
    return EmbeddingSet(pairs.audio, pairs.text, captions, torch.arange(count + 1), {"encoder": "a", "scenes": "b"})


def _measured(bridge: Any, held_out: EmbeddingSet) -> ComparedBridge:
    return measure_bridge("a", [bridge, bridge], [0, 1], held_out, _CPU)


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    write_corpus(tmp_path)
    write_clap(tmp_path, tiny_clap)
    embed(EmbedRecipe(), tmp_path, "cpu", resume=False)
    return tmp_path


def test_where_audio_is_shifted_text_the_shift_back_wins() -> None:
    train, held_out = _pairs(0, turn=0.0), _pairs(1, turn=0.0)
    shifted = _measured(MeanShift.fit(train.audio, train.text), held_out)
    plain = _measured(Identity.fit(train.audio, train.text), held_out)
    assert shifted.as_is.paired_cosine.mean > plain.as_is.paired_cosine.mean + 0.1
    assert shifted.as_is.centroid_distance.mean < 0.1 < 0.5 < plain.as_is.centroid_distance.mean
    assert shifted.as_is.frechet_distance.mean < plain.as_is.frechet_distance.mean
    assert abs(shifted.as_is.probe_accuracy.mean - 0.5) < 0.1 < 0.4 < abs(plain.as_is.probe_accuracy.mean - 0.5)
    # Without the means there is nothing left to shift.
    assert shifted.centred.paired_cosine.mean == pytest.approx(plain.centred.paired_cosine.mean, abs=0.02)


def test_where_audio_is_turned_text_the_linear_map_wins_everything(tmp_path: Path) -> None:
    held_out = _pairs(1)
    maker = BridgeMaker(tmp_path, _CPU, _pairs(0), _pairs(2, 50))
    report = measure_bridges(_recipe("identity", "mean-shift", "ridge", "realign"), maker, held_out, "test")
    assert (report.pairs, report.distinct_captions, report.training_scenes) == (400, TOPICS, 400)
    best = next(bridge for bridge in report.bridges if bridge.name == "ridge")
    for rival in report.bridges:
        for side in ("as_is", "centred"):
            ours, theirs = getattr(best, side), getattr(rival, side)
            if rival is not best:
                assert ours.paired_cosine.mean > theirs.paired_cosine.mean + 0.1
                assert ours.cosine_difference.mean > theirs.cosine_difference.mean + 0.1
                assert ours.audio_to_text_r_at_1.mean > theirs.audio_to_text_r_at_1.mean + 0.2
                assert ours.text_to_audio_r_at_10.mean > theirs.text_to_audio_r_at_10.mean + 0.2


def _in_a_cone(pairs: EmbeddingSet) -> EmbeddingSet:
    """The same pairs with all texts near one direction, as those of released encoders are."""
    text = functional.normalize(pairs.text + 2 * torch.eye(DIM)[0], dim=1)
    return EmbeddingSet(pairs.audio, text, pairs.captions, pairs.offsets, pairs.source)


def test_a_collapse_has_fine_cosines_and_no_retrieval() -> None:
    train, held_out = _in_a_cone(_pairs(0)), _in_a_cone(_pairs(1))
    collapsed = _measured(TextMemory.fit(train.audio, train.text, temperature=100.0), held_out).as_is
    line = _measured(Ridge.fit(train.audio, train.text), held_out).as_is
    assert collapsed.paired_cosine.mean > 0.85
    assert collapsed.cosine_difference.mean < 0.01 < 0.1 < line.cosine_difference.mean
    assert collapsed.audio_to_text_r_at_1.mean < 0.1 < 0.5 < line.audio_to_text_r_at_1.mean


def test_retrieval_and_cosines_are_those_of_the_pairs() -> None:
    held_out = _pairs(1)
    perfect = EmbeddingSet(held_out.text, held_out.text, held_out.captions, held_out.offsets, held_out.source)
    measured = _measured(Identity.fit(held_out.audio, held_out.text), perfect)
    for side in (measured.as_is, measured.centred):
        assert side.paired_cosine.mean == pytest.approx(1.0)
        assert side.frechet_distance.mean == pytest.approx(0.0, abs=1e-6)
        assert side.neighbourhood_overlap.mean == 1.0
        assert side.audio_to_text_r_at_1.mean == side.text_to_audio_r_at_1.mean == 1.0
    assert abs(measured.centred.unpaired_cosine.mean) < 0.01


def test_texts_are_compared_where_the_bridge_brings_audio_to() -> None:
    train, held_out = _pairs(0, turn=0.0), _pairs(1, turn=0.0)
    own = _measured(C3.fit(train.audio, train.text), held_out)
    assert own.own_space
    assert own.as_is.paired_cosine.mean > 0.9
    assert not _measured(Ridge.fit(train.audio, train.text), held_out).own_space


def test_the_spread_is_that_of_the_seeds(tmp_path: Path) -> None:
    maker = BridgeMaker(tmp_path, _CPU, _pairs(0, 60), _pairs(2, 20))
    for bridge in measure_bridges(_recipe(), maker, _pairs(1, 60), "test").bridges:
        learned = "loop" in _BRIDGES[bridge.name]
        assert bridge.runs == (2 if learned else 1)
        for side in (bridge.as_is, bridge.centred):
            spreads = [getattr(side, name).sd for name in type(side).model_fields]
            assert any(spreads) if learned else not any(spreads), bridge.name
        assert (bridge.as_is.paired_cosine.sd > 0) == learned


class _Noisy(Identity):
    """Nothing to train, but noise is drawn."""

    def forward(self, audio_embeddings: Any, seeds: Any) -> Any:
        return functional.normalize(audio_embeddings + 0.1 * seeded_noise(seeds, DIM), dim=1)


def test_noise_spreads_what_nothing_trained() -> None:
    held_out = _pairs(1, 40)
    noisy = _measured(_Noisy(Identity.fit(held_out.audio, held_out.text).config), held_out)
    assert noisy.runs == 2
    assert noisy.as_is.paired_cosine.sd > 0


def test_a_second_run_trains_nothing_and_says_the_same(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in work.iterdir())
    compare_gap(_whole(), work, "cpu", "test")
    printed = capsys.readouterr().out
    first = (work / "evaluation-gap" / "report.json").read_bytes()
    text = (work / "evaluation-gap" / "report.md").read_text(encoding="utf-8")
    assert text in printed
    assert [bridge["name"] for bridge in json.loads(first)["bridges"]] == list(_BRIDGES)
    assert sorted(path.name for path in work.iterdir()) == sorted([*before, "bridges", "evaluation-gap"])

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TrainingLoop, "run", refuse)
    compare_gap(_whole(), work, "cpu", "test")
    assert (work / "evaluation-gap" / "report.json").read_bytes() == first
    # Another split is measured on the same bridges, and never taken for the first.
    compare_gap(_whole(), work, "cpu", "validation")
    assert json.loads((work / "evaluation-gap-validation" / "report.json").read_bytes())["split"] == "validation"
    assert (work / "evaluation-gap" / "report.json").read_bytes() == first


def test_training_again_gives_the_same_numbers(tmp_path: Path) -> None:
    held_out = _pairs(1, 60)
    makers = [BridgeMaker(tmp_path / part, _CPU, _pairs(0, 60), _pairs(2, 20)) for part in ("a", "b")]
    one, other = (measure_bridges(_recipe(), maker, held_out, "test") for maker in makers)
    assert one == other


def test_what_cannot_be_measured_is_named(tmp_path: Path) -> None:
    maker = BridgeMaker(tmp_path, _CPU, _pairs(0, 60), _pairs(2, 20))
    with pytest.raises(TrainingError, match="'ridge' cannot be measured: the modality gap needs four pairs"):
        measure_bridges(_recipe("ridge"), maker, _pairs(1, 3), "test")


def test_it_can_begin_with_a_corpus_alone(tmp_path: Path, tiny_clap: ClapEncoder) -> None:
    save_clap(tiny_clap, tmp_path / "stored")
    work = tmp_path / "work"
    work.mkdir()
    write_corpus(work)
    bridges = {"few": {"kind": "ridge", "pairs_share": 0.5}}
    compare_gap(_whole(encoder=tmp_path / "stored", bridges=bridges), work, "cpu", "test")
    report = GapReport.model_validate_json((work / "evaluation-gap" / "report.json").read_bytes())
    assert (report.pairs, report.pairs_shares) == (6, {"few": 0.5})


def test_without_its_section_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no section \[comparison\]"):
        compare_gap(_whole().model_copy(update={"comparison": None}), tmp_path, "cpu", "test")


def test_without_embeddings_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run `diffusion-link embed`"):
        compare_gap(_whole(), tmp_path, "cpu", "test")
