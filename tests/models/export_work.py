"""A work directory as the trainings leave it, the parts those of a tiny artifact, for tests of export."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.training.export import ExportRecipe, export
from models.training.folders import begin_stage, fingerprint

SETTINGS = ExportRecipe(name="tiny", version="7", licence="MIT", data_notice="Sounds of nobody.")
LOOP = {"steps": 5, "learning_rate": 0.1}
RECIPE: dict[str, Any] = {
    "clap": {"batch_size": 8, "loop": LOOP},
    "bridge": {"kind": "mean-shift"},
    "decoder": {"inputs": {"text": 1.0, "bridged": 3.0}, "loop": LOOP},
}
SOUNDS = ["dog", "door_close"]
SUMMARY: dict[str, Any] = {
    "scenes": {"encoder": 5},
    "sounds": 2,
    "sounds_without_takes": {"bridge": ["door_close"]},
}


def write_parts(work: Path, artifact: Path) -> Path:
    """The networks of an artifact as trained parts, and a summary of the corpus."""
    for part in ("clap", "bridge", "decoder"):
        shutil.copytree(artifact / part, work / "parts" / part)
    begin_part(work, "clap")
    begin_part(work, "bridge", encoder=artifact / "clap")
    begin_part(work, "decoder", bridge=artifact / "bridge")
    for part in ("clap", "bridge", "decoder"):
        (work / part).mkdir(exist_ok=True)
        (work / "parts" / part).rename(work / part / "model")
    (work / "corpus").mkdir()
    (work / "corpus" / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    return work


def begin_part(work: Path, part: str, recipe: Mapping[str, Any] = RECIPE, **made_from: Path) -> None:
    """Settings as the training of a part leaves them."""
    sources = {name: fingerprint(directory.iterdir()) for name, directory in made_from.items()}
    begin_stage(work / part, {"recipe": recipe[part], **sources}, resume=False)


def rebegin_part(work: Path, part: str, recipe: Mapping[str, Any] = RECIPE, **made_from: Path) -> None:
    """As `begin_part`, for a part that is there already."""
    (work / part / "model").rename(work / "parts" / part)
    shutil.rmtree(work / part)
    begin_part(work, part, recipe, **made_from)
    (work / "parts" / part).rename(work / part / "model")


def export_parts(work: Path, **settings: Any) -> Path:
    """Export by the recipe that the parts were trained by."""
    return export(SETTINGS.model_copy(update=settings), RECIPE, SOUNDS, work, "cpu")
