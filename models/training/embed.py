"""embed: the frozen CLAP over scenes or clips and their captions, once, for all that trains behind it.

Reads corpus/ and clap/model, writes embeddings/<split>.safetensors. Each file says which encoder and which scenes it was
made from, so that a later stage never trains on embeddings of another encoder than the one it will be served with. Where
the corpus lists the clips of a data set, what is said of scenes is true of them.
"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, PositiveInt
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.clap.encoder import ClapEncoder
from models.clap.store import load_clap
from models.device import resolve_device, use_exact_float32
from models.errors import TrainingError
from models.output import say
from models.precision import resolve_precision
from models.training.datasets import (
    BadClip,
    check_bad_share,
    check_unchanged,
    count_bad,
    is_listed,
    listed_fingerprint,
    read_listed,
)
from models.training.embed_captions import embed_captions
from models.training.embed_clips import ClipEmbedder
from models.training.folders import append_log, fingerprint, finished, scenes_fingerprint
from models.training.progress import progress_bar
from models.training.scenes import SceneSet

Split = Literal["encoder", "bridge", "validation", "test"]

_SOURCE = "source"
"""The one key of the metadata: with several their order, and so the file's bytes, would differ from run to run."""


class EmbedRecipe(BaseModel):
    """Settings of embed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    splits: tuple[Split, ...] = ("encoder", "bridge", "validation", "test")
    """Of the encoder's own scenes only the captions are embedded: it knows their sound by heart, and a bridge would learn
    a gap that it never meets. A data set has no such part."""
    batch_size: PositiveInt = 64
    """Scenes, or windows of clips."""
    text_batch_size: PositiveInt = 256


@dataclass(frozen=True, slots=True)
class EmbeddingSet:
    """The scenes of one split: an audio embedding each, and one text embedding for each of a scene's captions."""

    audio: Float[Tensor, "heard dim"]
    """No row at all for the encoder's own scenes."""
    text: Float[Tensor, "captions dim"]
    captions: list[str]
    """Caption of each row of `text`; those of one scene stand together."""
    offsets: Int[Tensor, " scenes_and_one"]
    """The captions of scene i are offsets[i] … offsets[i + 1] - 1."""
    source: dict[str, str]
    """Fingerprints of encoder and scenes."""

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.audio.shape[1]

    @classmethod
    def load(cls, work: Path, split: Split) -> "EmbeddingSet":
        """Read a split's embeddings and captions.

        Raises:
            TrainingError: they are not there, or were made from another encoder or corpus than those in `work`.
        """
        path = finished(work, "embeddings") / f"{split}.safetensors"
        source = _source(work, split)
        if not source.items() <= _stored_source(path).items():
            raise TrainingError(f"{path} is not of the encoder and scenes in {work}: run `diffusion-link embed` again")
        tensors = load_file(path)
        said: Sequence[tuple[str, ...]]
        if is_listed(work / "corpus"):
            clips = read_listed(work / "corpus", split)
            said = [clips[row].captions for row in tensors["rows"].tolist()]
        else:
            said = [record.captions for record in SceneSet.load(work / "corpus", split).records]
        captions = [caption for one in said for caption in one]
        return cls(tensors["audio"], tensors["text"], captions, tensors["offsets"], source)

    def draw_captions(self, scenes: Int[Tensor, " batch"], generator: torch.Generator) -> Int[Tensor, " batch"]:
        """Row of a random caption of each scene."""
        first, after = self.offsets[scenes], self.offsets[scenes + 1]
        share = torch.rand(len(scenes), generator=generator, dtype=torch.float64)
        return first + (share * (after - first)).long()

    def part(self, share: float) -> "EmbeddingSet":
        """The first scenes, `share` of them (two at least), with all their captions."""
        count = min(len(self.audio), max(2, round(share * len(self.audio))))
        captions = int(self.offsets[count])
        return EmbeddingSet(
            self.audio[:count], self.text[:captions], self.captions[:captions], self.offsets[: count + 1], self.source
        )

    def first(self, count: int) -> "EmbeddingSet":
        """The first `count` scenes, each with its first caption only."""
        rows = self.offsets[:-1][:count]
        captions = [self.captions[row] for row in rows.tolist()]
        return EmbeddingSet(self.audio[:count], self.text[rows], captions, torch.arange(len(rows) + 1), self.source)


def load_decoder_texts(work: Path) -> EmbeddingSet:
    """The captions that a decoder learns to write from text embeddings.

    An encoder that was trained here has scenes of its own, whose captions bridge and decoder have not met, and which hold
    every sound. A released one has not: then they are those of the training part, as in the field's zero-shot setting.

    Raises:
        TrainingError: as `EmbeddingSet.load` does.
    """
    return EmbeddingSet.load(work, "bridge" if is_listed(work / "corpus") else "encoder")


def embed(
    recipe: EmbedRecipe,
    work: Path,
    device: str,
    *,
    resume: bool,
    precision: str = "auto",
    max_bad_share: float = 0.0,
) -> None:
    """Embed every split of the recipe; with `resume`, those that are finished and still true are left as they are.

    `max_bad_share` is of a data set's clips, and counts those too that were missing when they were listed.

    Raises:
        TrainingError: the corpus or the encoder is not there, or a listed file is not what it was.
        RecipeError: too many clips of a part cannot be used.
        DeviceError: there is no such device or precision.
    """
    listed = is_listed(finished(work, "corpus"))
    use_exact_float32()
    torch_device = resolve_device(device)
    dtype = resolve_precision(precision, torch_device)
    encoder = load_clap(finished(work, "clap/model"), torch_device, dtype)
    directory = work / "embeddings"
    directory.mkdir(parents=True, exist_ok=True)
    for split in recipe.splits:
        if listed and split == "encoder":
            continue
        path, shards = directory / f"{split}.safetensors", directory / split
        source = {**_source(work, split), "precision": str(dtype)}
        if not resume:
            shutil.rmtree(shards, ignore_errors=True)
        if not resume or _stored_source(path) != source:
            started_s = time.monotonic()
            if listed:
                tensors, bad = _embed_listed(encoder, work, split, recipe, source, max_bad_share)
            else:
                tensors, bad = _embed_scenes(encoder, SceneSet.load(work / "corpus", split), split, recipe), []
            unfinished = path.with_name(f"{path.name}.new")
            save_file(tensors, unfinished, metadata={_SOURCE: json.dumps(source, sort_keys=True)})
            unfinished.replace(path)
            _log(directory, split, tensors, bad, time.monotonic() - started_s)
        shutil.rmtree(shards, ignore_errors=True)


def _log(directory: Path, split: Split, tensors: dict[str, Tensor], bad: Sequence[BadClip], elapsed_s: float) -> None:
    for one in bad:
        append_log(directory, {"split": split, "unusable": one.id, "reason": one.reason})
    counts = {"scenes": len(tensors["offsets"]) - 1, "captions": len(tensors["text"])}
    append_log(directory, {"split": split, **counts, "elapsed_s": round(elapsed_s, 1)})
    said = ", ".join(f"{count} {what}" for what, count in {**counts, "unusable": len(bad)}.items())
    say(f"embed, {split}: {said}", split=split, **counts, unusable=len(bad))


def _embed_listed(
    encoder: ClapEncoder, work: Path, split: Split, recipe: EmbedRecipe, source: dict[str, str], max_bad_share: float
) -> tuple[dict[str, Tensor], list[BadClip]]:
    corpus = work / "corpus"
    check_unchanged(corpus, split)
    clips, missing = read_listed(corpus, split), count_bad(corpus, split)
    embedder = ClipEmbedder(encoder, recipe.batch_size, recipe.text_batch_size)
    with progress_bar() as progress:
        task = progress.add_task(f"embed clips of {split}", total=len(clips))

        def check(bad: Sequence[BadClip]) -> None:
            check_bad_share(f"embed, {split}", bad, missing, len(clips) + missing, max_bad_share)

        tensors, bad = embedder.embed(
            clips, work / "embeddings" / split, source, check, lambda count: progress.advance(task, count)
        )
    if not len(tensors["rows"]):
        raise TrainingError(f"no clip of {split} can be decoded")
    return tensors, bad


@torch.inference_mode()
def _embed_scenes(encoder: ClapEncoder, scenes: SceneSet, split: Split, recipe: EmbedRecipe) -> dict[str, Tensor]:
    counts = torch.tensor([len(record.captions) for record in scenes.records])
    if not len(counts) or int(counts.min()) < 1:
        raise TrainingError(f"the split {split!r} of the corpus has no scenes, or one without a caption")
    captions = [caption for record in scenes.records for caption in record.captions]
    heard = 0 if split == "encoder" else len(counts)
    audio = torch.empty(heard, encoder.dim)
    with progress_bar() as progress:
        task = progress.add_task(f"embed scenes of {split}", total=heard)
        for start in range(0, heard, recipe.batch_size):
            log_mel = torch.from_numpy(scenes.log_mel[start : start + recipe.batch_size].astype(np.float32))
            audio[start : start + len(log_mel)] = encoder.embed_log_mel(log_mel).cpu()
            progress.advance(task, len(log_mel))
        task = progress.add_task(f"embed captions of {split}", total=len(set(captions)))
        text = embed_captions(encoder, captions, recipe.text_batch_size, lambda count: progress.advance(task, count))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(dim=0)])
    return {"audio": audio, "text": text, "offsets": offsets}


def _source(work: Path, split: Split) -> dict[str, str]:
    """What embeddings of a split are made from."""
    corpus = finished(work, "corpus")
    scenes = listed_fingerprint(corpus, split) if is_listed(corpus) else scenes_fingerprint(work, split)
    return {"encoder": fingerprint(finished(work, "clap/model").iterdir()), "scenes": scenes}


def _stored_source(path: Path) -> dict[str, str]:
    """What a finished file of embeddings was made from, and how; nothing for one that is not there or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            source: dict[str, str] = json.loads((file.metadata() or {})[_SOURCE])
            return source
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}
