"""Embeddings for a comparison that no encoder was trained for: a stored encoder takes train-clap's place, once."""

import shutil
from pathlib import Path

from models.errors import TrainingError
from models.training.embed import EmbedRecipe, embed
from models.training.folders import LOG_FILE, SETTINGS_FILE, fingerprint, finished, replaced


def encoder_trained_here(work: Path) -> bool:
    """Whether train-clap was at work in this directory: it leaves its settings and a log, a copied encoder neither."""
    return any((work / "clap" / name).is_file() for name in (SETTINGS_FILE, LOG_FILE))


def make_embeddings(encoder: Path | None, recipe: EmbedRecipe, work: Path, device: str) -> None:
    """Make what is missing of work/embeddings, with `encoder` unless one was trained here; leave all alone without it.

    Raises:
        TrainingError: the corpus or the encoder is not there, the training of one here is not finished, or another one was
            copied here before.
        ArtifactError: the encoder is damaged.
        DeviceError: there is no such device.
    """
    if encoder is None:
        return
    finished(work, "corpus")
    if encoder_trained_here(work):
        finished(work, "clap/model")
    else:
        _copy(encoder, work / "clap" / "model")
    embed(recipe, work, device, resume=True)


def _copy(encoder: Path, model: Path) -> None:
    if not encoder.is_dir():
        raise TrainingError(f"{encoder}, the encoder of the comparison, is not a folder")
    if not model.is_dir():
        with replaced(model) as new:
            shutil.copytree(encoder, new, dirs_exist_ok=True)
    elif fingerprint(model.iterdir()) != fingerprint(encoder.iterdir()):
        raise TrainingError(
            f"{model} is a copy of another encoder than {encoder}, the comparison's: remove it to begin anew"
        )
