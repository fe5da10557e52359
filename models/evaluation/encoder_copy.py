"""Embeddings for a comparison that no encoder was trained for: a stored encoder takes train-clap's place, once."""

import shutil
from pathlib import Path

from models.errors import TrainingError
from models.training.embed import EmbedRecipe, embed
from models.training.folders import finished, replaced


def make_embeddings(encoder: Path | None, recipe: EmbedRecipe, work: Path, device: str) -> None:
    """Make work/embeddings where some of it is missing and `encoder` is given; otherwise leave everything as it is.

    Raises:
        TrainingError: the corpus is not there, or neither is the encoder.
        ArtifactError: the encoder is damaged.
        DeviceError: there is no such device.
    """
    files = [work / "embeddings" / f"{split}.safetensors" for split in recipe.splits]
    if encoder is None or all(path.is_file() for path in files):
        return
    finished(work, "corpus")
    model = work / "clap" / "model"
    if not model.is_dir():
        if not encoder.is_dir():
            raise TrainingError(f"{encoder}, the encoder of the comparison, is not a folder")
        with replaced(model) as new:
            shutil.copytree(encoder, new, dirs_exist_ok=True)
    embed(recipe, work, device, resume=True)
