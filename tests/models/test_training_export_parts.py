"""export: parts that are missing, or were not trained for one another and by this recipe, are refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from models.bridge.identity import Identity, IdentityConfig
from models.bridge.store import save_bridge
from models.errors import TrainingError
from models.training.export import export
from tests.conftest import TINY_DIM
from tests.models.export_work import LOOP, RECIPE, SETTINGS, SOUNDS, export_parts, write_parts


@pytest.fixture
def work(tmp_path: Path, tiny_artifact: Path) -> Path:
    return write_parts(tmp_path, tiny_artifact)


@pytest.mark.parametrize(
    ("part", "section"),
    [
        ("clap", {"batch_size": 9, "loop": LOOP}),
        ("clap", None),
        ("bridge", {"kind": "ridge"}),
        ("decoder", {"loop": LOOP}),
        ("decoder", {"kind": "ridge"}),
    ],
)
def test_parts_of_another_recipe_are_refused(work: Path, part: str, section: dict[str, Any] | None) -> None:
    with pytest.raises(TrainingError, match=rf"another \[{part}\]"):
        export(SETTINGS, RECIPE | {part: section}, SOUNDS, work, "cpu")


def test_settings_that_are_newer_than_a_part_have_their_defaults(work: Path) -> None:
    newer = {"noise_variance": 0.016, "validation_scenes": 512, "loop": {**LOOP, "accumulation": 1, "log_every": 10}}
    export(SETTINGS, RECIPE | {"decoder": RECIPE["decoder"] | newer}, SOUNDS, work, "cpu")
    with pytest.raises(TrainingError, match=r"another \[decoder\]"):
        export(SETTINGS, RECIPE | {"decoder": RECIPE["decoder"] | {"noise_variance": 0.5}}, SOUNDS, work, "cpu")


@pytest.mark.parametrize(
    ("part", "command"), [("clap", "train-clap"), ("bridge", "train-bridge"), ("decoder", "train-decoder")]
)
def test_a_missing_stage_is_named(work: Path, part: str, command: str) -> None:
    shutil.rmtree(work / part / "model")
    with pytest.raises(TrainingError, match=f"run `diffusion-link {command}`"):
        export_parts(work)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_corpus_without_a_summary_is_refused(work: Path, content: str | None) -> None:
    path = work / "corpus" / "summary.json"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"summary\.json"):
        export_parts(work)


def test_parts_that_were_not_trained_for_one_another_are_refused(work: Path) -> None:
    path = work / "clap" / "model" / "config.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="another encoder"):
        export_parts(work)


def test_a_decoder_of_another_bridge_is_refused(work: Path) -> None:
    save_bridge(Identity(IdentityConfig(dim=TINY_DIM)), work / "bridge" / "model")
    with pytest.raises(TrainingError, match="another bridge"):
        export_parts(work)
