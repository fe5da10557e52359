"""export: what was trained, put together as an artifact directory that the service loads.

Reads clap/model, bridge/model, decoder/model, corpus/summary.json and, where it is there, evaluation/; writes artifact/.
The weights are on their way through float16, so the order is: export, evaluate, export again. The second export writes
the same weights, and adds what was measured of them to manifest and model card. Of a released language model the artifact
holds a copy with what was trained merged into it, or names it and holds the adapter.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import models
from models.artifact import MODEL_CARD_FILE, write_manifest
from models.bridge.store import load_bridge, save_bridge
from models.clap.convert import SOURCE_FILE
from models.clap.store import load_clap, save_clap
from models.decoder.store import load_decoder, save_decoder
from models.errors import TrainingError
from models.output import say, say_written
from models.pipeline import Pipeline
from models.training.bridge_recipe import BridgeRecipe
from models.training.decoder_recipe import DecoderRecipe
from models.training.folders import SETTINGS_FILE, begun_with, fingerprint, finished, replaced
from models.training.model_card import Measured, write_model_card
from models.training.train_clap import ClapRecipe

MEASURED_FILE = "measured_files.json"
"""Beside the report: the sums of the artifact files that it was measured on, written by the command `evaluate`."""
_DTYPES = {"float16": torch.float16, "float32": torch.float32}
_SECTIONS: dict[str, TypeAdapter[Any]] = {
    "clap": TypeAdapter(ClapRecipe),
    "bridge": TypeAdapter(BridgeRecipe),
    "decoder": TypeAdapter(DecoderRecipe),
}
"""What a training's section of a recipe says, by the folder of the stage."""


class ExportRecipe(BaseModel):
    """Settings of export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    version: str = Field(default="1", min_length=1)
    licence: str = Field(min_length=1)
    """Of the weights."""
    dtype: Literal["float16", "float32"] = "float16"
    """Of the weights on disk; serving chooses its own precision."""
    language_model: Literal["merged", "reference"] = Field(default="merged", exclude_if=lambda value: value == "merged")
    """Of a released language model: a copy with what was trained merged into it, which is all that serving needs; or its
    name and sums, with the adapter beside them, a few megabytes: whoever serves it must have the model, or the hub."""
    data_notice: str = ""
    """Where the recordings come from and under which licences, for the model card; Markdown."""


def export(settings: ExportRecipe, recipe: Mapping[str, Any], sounds: Sequence[str], work: Path, device: str) -> Path:
    """Write work/artifact in place of an earlier one, after it was loaded as the service does.

    `recipe` is the whole of it, as JSON has it, for the manifest; `sounds` is what the corpus was mixed from, and empty for
    a data set of recordings.

    Raises:
        TrainingError: a stage has not been run, or parts were trained for other parts than those that are there.
        ArtifactError: what a stage left is damaged.
        DeviceError: there is no such device.
    """
    check_parts(work, recipe)
    with replaced(work / "artifact") as new:
        _save_parts(settings, work, new)
        facts: dict[str, Any] = {
            "name": settings.name,
            "version": settings.version,
            "licence": settings.licence,
            "code_revision": code_revision(),
            "recipe": dict(recipe),
            "training_data": _read_json(work / "corpus" / "summary.json"),
        }
        manifest = write_manifest(new, **facts, metrics={})
        measured = _measured(work / "evaluation", manifest.files)
        if measured is not None:
            manifest = write_manifest(new, **facts, metrics=measured.metrics, created=manifest.created)
        pipeline = Pipeline.load(new, device)
        pipeline.warm_up()
        source_file = new / "clap" / SOURCE_FILE
        source = _read_json(source_file) if source_file.is_file() else None
        card = write_model_card(manifest, pipeline.describe(), sounds, settings.data_notice, measured, source)
        (new / MODEL_CARD_FILE).write_text(card, encoding="utf-8")
        _let_others_read(new)
    directory = work / "artifact"
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    named = {"artifact": manifest.name, "version": manifest.version}
    say_written(directory, f": {manifest.name} {manifest.version}, {size / 1e6:.1f} MB", **named, bytes=size)
    if measured is None:
        say("It has no measured figures: run `diffusion-link evaluate`, then export again.", measured=False)
    return directory


def _let_others_read(artifact: Path) -> None:
    """Give every file the mode of one that was simply written, by the umask.

    safetensors writes files that their owner alone can read; a container that the artifact is mounted into has another user.
    """
    mode = (artifact / MODEL_CARD_FILE).stat().st_mode & 0o777
    for path in artifact.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _save_parts(settings: ExportRecipe, work: Path, artifact: Path) -> None:
    """Write the three networks into an artifact's folder."""
    dtype, encoder = _DTYPES[settings.dtype], work / "clap" / "model"
    save_clap(load_clap(encoder), artifact / "clap", dtype)
    if (encoder / SOURCE_FILE).is_file():
        # Says which released encoder it is.
        shutil.copyfile(encoder / SOURCE_FILE, artifact / "clap" / SOURCE_FILE)
    save_bridge(load_bridge(work / "bridge" / "model"), artifact / "bridge", dtype)
    decoder, merge = load_decoder(work / "decoder" / "model"), settings.language_model == "merged"
    if decoder.reference is None and not merge:
        reason = "all weights of the language model were trained here, so that no released one can stand for them"
        raise TrainingError(f"export.language_model = 'reference': {reason}")
    save_decoder(decoder, artifact / "decoder", dtype, merge=merge)


def check_parts(work: Path, recipe: Mapping[str, Any]) -> None:
    """Check that all parts are there, and were trained for one another and by this recipe.

    Raises:
        TrainingError: one is missing, or was trained for another encoder or bridge, or by another recipe.
    """
    encoder, bridge = finished(work, "clap/model"), finished(work, "bridge/model")
    finished(work, "decoder/model")
    if begun_with(work / "bridge")["encoder"] != fingerprint(encoder.iterdir()):
        raise TrainingError(f"{bridge} was trained for another encoder: run embed, train-bridge and train-decoder again")
    if begun_with(work / "decoder")["bridge"] != fingerprint(bridge.iterdir()):
        raise TrainingError(f"{work / 'decoder' / 'model'} was trained for another bridge: run train-decoder again")
    for stage in _SECTIONS:
        # A released encoder was not trained here, and has no section.
        trained_here = stage != "clap" or (work / stage / SETTINGS_FILE).is_file()
        if trained_here and not _same_section(stage, begun_with(work / stage)["recipe"], recipe.get(stage)):
            raise TrainingError(f"{work / stage} was trained by another [{stage}] than the recipe's now")


def _same_section(stage: str, begun: Any, now: Any) -> bool:
    """Whether two sections say the same; one that was written down earlier may lack settings that are newer than it."""
    adapter = _SECTIONS[stage]
    try:
        return bool(adapter.validate_python(begun) == adapter.validate_python(now))
    except ValidationError:
        return False


def code_revision() -> str:
    """The commit of the code that runs, marked where it was changed since, or the version of an installed package."""
    root, git = Path(models.__file__).parent.parent, shutil.which("git")
    if git is not None and (root / ".git").exists():
        # --dirty marks what is not committed; --always and --abbrev give the whole commit, whatever tags there are.
        words = [git, "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        answer = subprocess.run(words, capture_output=True, text=True)
        if answer.returncode == 0:
            return answer.stdout.strip()
    try:
        return f"version {version('diffusion-link')}"
    except PackageNotFoundError:
        return "unknown"


def _measured(directory: Path, files: dict[str, str]) -> Measured | None:
    """The evaluation, if it is of these very files."""
    if not (directory / "report.json").is_file():
        return None
    path = directory / MEASURED_FILE
    if not path.is_file() or _read_json(path) != files:
        say(f"{directory} is of other weights, and is left out.", left_out=directory)
        return None
    report = (directory / "report.md").read_text(encoding="utf-8")
    return Measured(metrics=_read_json(directory / "report.json"), report=report)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrainingError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path} does not hold an object")
    return content
