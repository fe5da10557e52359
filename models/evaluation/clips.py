"""What is evaluated: single recordings and scenes, embedded, bridged and captioned.

Single recordings go through `Pipeline` exactly as the service captions them: file, windows, CLAP, mean, bridge, decoder.
Scenes are stored as log-mel spectrograms, so their audio embeddings come from the artifact's CLAP encoder directly, and
the rest from the pipeline.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from models.audio import cut_windows, decode_audio
from models.clap.encoder import ClapEncoder
from models.errors import AudioError, TrainingError
from models.evaluation.settings import EvaluateRecipe, Split
from models.pipeline import Pipeline, ScoredCaption
from models.training.embed_clips import Windows, embed_by_windows
from models.training.scenes import SceneSet
from models.training.sources import LIMITS
from models.training.takes import RECORDINGS_FILE

Advance = Callable[[int], None]
"""Told how many clips are done."""


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips of one kind: what is truly there, and CLAP's unbridged embeddings."""

    ids: list[str]
    truths: list[tuple[str, ...]]
    """The sounds of each clip; none of a data set's, where nobody says."""
    references: list[tuple[str, ...]]
    """Captions that would be right; at least one a clip."""
    raw: Float32[np.ndarray, "clips dim"]


@dataclass(frozen=True, slots=True)
class Captioned:
    """Clips, bridged, and their captions with the bridge and without it."""

    clips: Clips
    bridged: Float32[np.ndarray, "clips dim"]
    captions: list[ScoredCaption]
    captions_raw: list[ScoredCaption]


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A recording as it came, before the corpus cut anything off it; for a generated one, the take."""

    sound: str
    path: Path


def read_recordings(corpus: Path, split: Split) -> list[RecordingFile]:
    """Read which recordings a split has.

    Raises:
        TrainingError: the corpus is not there, or its split has no recording.
    """
    path = corpus / RECORDINGS_FILE
    if not path.is_file():
        raise TrainingError(f"{path} is missing: run `diffusion-link corpus` with this recipe first")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    recordings = [RecordingFile(row["sound"], Path(row["path"])) for row in rows if row["split"] == split]
    if not recordings:
        raise TrainingError(f"{path} has no recording in the split {split!r}")
    return recordings


def listen_to_recordings(
    pipeline: Pipeline,
    recordings: Sequence[RecordingFile],
    phrases: Mapping[str, Sequence[str]],
    batch_size: int,
    advance: Advance,
) -> Clips:
    """Embed single recordings as the service does; the references of a recording are its sound's phrases."""
    raw = embed_by_windows(pipeline.embed_audio, map(_windows, recordings), batch_size, advance)
    return Clips(
        ids=[recording.path.name for recording in recordings],
        truths=[(recording.sound,) for recording in recordings],
        references=[tuple(phrases.get(item.sound, ())) or (item.sound.replace("_", " "),) for item in recordings],
        raw=np.stack(raw),
    )


def _windows(recording: RecordingFile) -> Windows:
    try:
        return cut_windows(decode_audio(recording.path.read_bytes(), LIMITS))
    except (AudioError, OSError) as error:
        raise TrainingError(f"{recording.path}, a recording of {recording.sound!r}: {error}") from error


@torch.inference_mode()
def listen_to_scenes(encoder: ClapEncoder, scenes: SceneSet, batch_size: int, advance: Advance) -> Clips:
    """Embed the scenes of a split.

    Raises:
        TrainingError: the split has no scenes.
    """
    if not scenes.records:
        raise TrainingError("the corpus has no scenes in the split that is to be evaluated")
    raw = []
    for start in range(0, len(scenes.records), batch_size):
        log_mel = torch.from_numpy(scenes.log_mel[start : start + batch_size].astype(np.float32))
        raw.append(encoder.embed_log_mel(log_mel).cpu().numpy())
        advance(len(log_mel))
    return Clips(
        ids=[record.id for record in scenes.records],
        truths=[tuple(record.sounds) for record in scenes.records],
        references=[tuple(record.captions) for record in scenes.records],
        raw=np.concatenate(raw),
    )


def caption_clips(pipeline: Pipeline, clips: Clips, recipe: EvaluateRecipe, advance: Advance) -> Captioned:
    """Bridge and caption clips, and caption them without the bridge; every clip has the seed of the recipe."""
    bridged = bridge_with_seed(pipeline, clips.raw, recipe.seed)
    return Captioned(
        clips=clips,
        bridged=bridged,
        captions=_write(pipeline, bridged, recipe, advance),
        captions_raw=_write(pipeline, clips.raw, recipe, advance),
    )


def bridge_with_seed(
    pipeline: Pipeline, raw: Float32[np.ndarray, "clips dim"], seed: int
) -> Float32[np.ndarray, "clips dim"]:
    """Bridge clips as requests of one seed would be."""
    return pipeline.bridge(raw, [seed] * len(raw))


def _write(
    pipeline: Pipeline, embeddings: Float32[np.ndarray, "clips dim"], recipe: EvaluateRecipe, advance: Advance
) -> list[ScoredCaption]:
    captions: list[ScoredCaption] = []
    for start in range(0, len(embeddings), recipe.caption_batch_size):
        part = embeddings[start : start + recipe.caption_batch_size]
        written = pipeline.write(
            part,
            seeds=[recipe.seed] * len(part),
            candidates=recipe.candidates,
            max_new_tokens=recipe.max_new_tokens,
        )
        captions.extend(candidates[0] for candidates in written)
        advance(len(part))
    return captions
