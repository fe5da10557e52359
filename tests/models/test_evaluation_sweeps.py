"""Sweeps: the value makes the difference, sampling is never trained again, and the recipe's own value is the bridge."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import TrainingError
from models.evaluation.compare_gap import measure_bridge
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.sweeps import SweepReport, measure_sweep, sweep_table, sweep_title
from models.training.embed import EmbeddingSet
from models.training.loop import TrainingLoop
from tests.models.bridge_toy import toy_pairs

_LOOP = {"steps": 4, "learning_rate": 3e-3, "warmup_steps": 1, "evaluate_every": 4}
_NETWORK = {"loop": _LOOP, "batch_size": 16, "denoiser": {"hidden_dim": 16, "timestep_dim": 8}}
_BRIDGES: dict[str, Any] = {
    "diffusion-link": {"kind": "diffusion-link", "loss": {"topology_weight": 2.0}} | _NETWORK,
    "prior": {"kind": "conditional-prior", "num_sampling_steps": 3} | _NETWORK,
    "line": {"kind": "ridge"},
}


def _pairs(seed: int, count: int) -> EmbeddingSet:
    pairs = toy_pairs(seed, count)
    captions = [f"topic {number}" for number in pairs.topic.tolist()]
    return EmbeddingSet(pairs.audio, pairs.text, captions, torch.arange(count + 1), {"encoder": "a", "scenes": "b"})


@pytest.fixture
def maker(tmp_path: Path) -> BridgeMaker:
    return BridgeMaker(tmp_path, torch.device("cpu"), _pairs(0, 60), _pairs(1, 30))


def _measured(maker: BridgeMaker, **sweep: Any) -> SweepReport:
    recipe = ComparisonRecipe.model_validate({"seeds": (3, 7, 9), "bridges": _BRIDGES, "sweeps": [{"title": "a"} | sweep]})
    return measure_sweep(recipe.sweeps[0], recipe, maker)


def _paired_cosines(report: SweepReport) -> list[float]:
    return [point.spread("as_is", "paired_cosine").mean for point in report.lines[0].points]


def _folders(maker: BridgeMaker) -> list[str]:
    return sorted(str(path.parent.relative_to(maker.work / "bridges")) for path in maker.work.glob("bridges/*/*/model"))


def test_each_value_is_trained_in_a_folder_of_its_own_and_the_recipes_value_is_the_bridge(maker: BridgeMaker) -> None:
    report = _measured(maker, setting="loss.topology_weight", values=[0.0, 2, 50])
    (line,) = report.lines
    assert (report.split, report.pairs, report.seeds, line.own_value) == ("validation", 30, (3, 7), 2.0)
    names = ("diffusion-link", "diffusion-link+loss.topology_weight=0", "diffusion-link+loss.topology_weight=50")
    assert _folders(maker) == sorted(f"{name}/{seed}" for name in names for seed in (3, 7))
    recipe = ComparisonRecipe.model_validate({"bridges": _BRIDGES}).bridges["diffusion-link"]
    own = maker.bridges("diffusion-link", recipe, [3, 7])
    held_out = maker.validation.first(30)
    assert line.points[1].measured == measure_bridge("diffusion-link", own, [3, 7], held_out, maker.device)
    assert len({point.spread("as_is", "paired_cosine").mean for point in line.points}) == 3
    assert all(point.measured.runs == 2 for point in line.points)


def test_what_is_fixed_holds_for_all_values_and_is_told(maker: BridgeMaker) -> None:
    fixed = {"sampling.start_step": 300, "sampling.noise_scale": 1.0}
    report = _measured(maker, setting="sampling.num_samples", values=[1, 4], fixed=fixed, seeds=1)
    assert _folders(maker) == ["diffusion-link/3"]
    plain = _measured(maker, setting="sampling.start_step", values=[300, 20], seeds=1)
    alone, mean = _paired_cosines(report)
    assert len({alone, mean, _paired_cosines(plain)[0]}) == 3
    assert report.lines[0].own_value is None
    assert "`sampling.start_step` = 300, `sampling.noise_scale` = 1" in sweep_table(report).markdown()


def test_the_weights_stay_where_only_sampling_changes(maker: BridgeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _measured(maker, setting="sampling.start_step", values=["auto", 20], seeds=1)
    assert _folders(maker) == ["diffusion-link/3"]

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TrainingLoop, "run", refuse)
    other = _measured(maker, setting="sampling.start_step", values=[900, 20, "auto"], seeds=1)
    cosines = [
        [point.spread("as_is", "paired_cosine").mean for point in report.lines[0].points] for report in (first, other)
    ]
    assert cosines[0] == [cosines[1][2], cosines[1][1]]
    assert len(set(cosines[1])) == 3


def test_steps_of_the_prior_are_sampling_too(maker: BridgeMaker) -> None:
    (line,) = _measured(maker, bridges=["prior"], setting="num_sampling_steps", values=[1, 3, 8]).lines
    assert _folders(maker) == ["prior/3", "prior/7"]
    assert len({point.spread("as_is", "paired_cosine").mean for point in line.points}) == 3


def test_a_closed_form_is_solved_for_each_value(maker: BridgeMaker) -> None:
    (line,) = _measured(maker, bridges=["line"], setting="penalty", values=[1e-3, 100.0]).lines
    weak, strong = (point.spread("as_is", "paired_cosine").mean for point in line.points)
    assert weak > strong + 0.01
    assert [point.measured.runs for point in line.points] == [1, 1]


def test_fewer_pairs_know_less(maker: BridgeMaker) -> None:
    (line,) = _measured(maker, bridges=["line"], setting="pairs_share", values=[0.05, 1.0]).lines
    few, all_pairs = (point.spread("centred", "cosine_difference").mean for point in line.points)
    assert few < all_pairs - 0.1
    assert _folders(maker) == ["line+pairs_share=0.05/3", "line/3"]
    report = _measured(maker, bridges=["line"], setting="pairs_share", values=[0.05, 1.0], seeds=1)
    assert sweep_title(report) == "a; one seed; the first scenes, the same under every seed"


def test_what_cannot_be_measured_is_named(tmp_path: Path) -> None:
    maker = BridgeMaker(tmp_path, torch.device("cpu"), _pairs(0, 60), _pairs(1, 3))
    with pytest.raises(TrainingError, match="line with penalty = 2 cannot be measured: the modality gap needs four"):
        _measured(maker, bridges=["line"], setting="penalty", values=[2.0, 3.0])


def test_the_table_marks_the_best_of_each_bridge_and_the_recipes_value(maker: BridgeMaker) -> None:
    table = sweep_table(_measured(maker, bridges=["line"], setting="penalty", values=[0.1, 100.0]))
    rows = {row[1]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["0.1 (recipe)", "100"]
    assert rows["0.1 (recipe)"]["paired cosine ↑"].startswith("**")
    assert not rows["100"]["paired cosine ↑"].startswith("**")
    assert "difference ↑, means removed" in table.columns
    assert table.title == "a; 2 seeds"
    # Nothing is drawn at random, so there is no spread.
    assert "±" not in "".join(cell for row in table.rows for cell in row)
    learned = sweep_table(_measured(maker, setting="sampling.start_step", values=["auto", 20]))
    assert all("±" in cell for row in learned.rows for cell in row[2:])
