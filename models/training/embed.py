"""embed: the frozen CLAP over scenes and captions, once, for all that trains behind it.

Reads corpus/ and clap/model, writes embeddings/<split>.safetensors. Each file says which encoder and which scenes it was
made from, so that a later stage never trains on embeddings of another encoder than the one it will be served with.
"""

import json
import time
from collections.abc import Callable
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
from models.training.folders import append_log, fingerprint, finished, scenes_fingerprint
from models.training.loop import progress_bar
from models.training.scenes import SceneSet

Split = Literal["encoder", "bridge", "validation", "test"]

_SOURCE = "source"
"""The one key of the metadata: with several their order, and so the file's bytes, would differ from run to run."""


class EmbedRecipe(BaseModel):
    """Settings of embed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    splits: tuple[Split, ...] = ("encoder", "bridge", "validation", "test")
    """Of the encoder's own scenes only the captions are embedded: it knows their sound by heart, and a bridge would learn
    a gap that it never meets."""
    batch_size: PositiveInt = 64
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
        if _stored_source(path) != source:
            raise TrainingError(f"{path} is not of the encoder and scenes in {work}: run `diffusion-link embed` again")
        tensors = load_file(path)
        captions = [caption for record in SceneSet.load(work / "corpus", split).records for caption in record.captions]
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


def embed(recipe: EmbedRecipe, work: Path, device: str, *, resume: bool) -> None:
    """Embed every split of the recipe; with `resume`, those that are finished and still true are left as they are.

    Raises:
        TrainingError: the corpus or the encoder is not there.
        DeviceError: there is no such device.
    """
    finished(work, "corpus")
    use_exact_float32()
    encoder = load_clap(finished(work, "clap/model"), resolve_device(device))
    directory = work / "embeddings"
    directory.mkdir(parents=True, exist_ok=True)
    for split in recipe.splits:
        path, source = directory / f"{split}.safetensors", _source(work, split)
        if resume and _stored_source(path) == source:
            continue
        started_s = time.monotonic()
        tensors = _embed_split(encoder, SceneSet.load(work / "corpus", split), split, recipe)
        unfinished = path.with_name(f"{path.name}.new")
        save_file(tensors, unfinished, metadata={_SOURCE: json.dumps(source, sort_keys=True)})
        unfinished.replace(path)
        counts = {"scenes": len(tensors["offsets"]) - 1, "captions": len(tensors["text"])}
        append_log(directory, {"split": split, **counts, "elapsed_s": round(time.monotonic() - started_s, 1)})


@torch.inference_mode()
def _embed_split(encoder: ClapEncoder, scenes: SceneSet, split: Split, recipe: EmbedRecipe) -> dict[str, Tensor]:
    counts = torch.tensor([len(record.captions) for record in scenes.records])
    if not len(counts) or int(counts.min()) < 1:
        raise TrainingError(f"the split {split!r} of the corpus has no scenes, or one without a caption")
    captions = [caption for record in scenes.records for caption in record.captions]
    # Many scenes share a caption; sorted by length, a batch has little padding.
    distinct = sorted(set(captions), key=lambda caption: (len(caption), caption))
    with progress_bar() as progress:

        def in_batches(
            what: str, total: int, size: int, embed_part: Callable[[slice], Float[Tensor, "part dim"]]
        ) -> Float[Tensor, "all dim"]:
            task = progress.add_task(f"embed {what} of {split}", total=total)
            embedded = torch.empty(total, encoder.dim)
            for start in range(0, total, size):
                part = slice(start, min(start + size, total))
                embedded[part] = embed_part(part).cpu()
                progress.update(task, completed=part.stop)
            return embedded

        def embed_scenes(part: slice) -> Float[Tensor, "part dim"]:
            return encoder.embed_log_mel(torch.from_numpy(scenes.log_mel[part].astype(np.float32)))

        heard = 0 if split == "encoder" else len(counts)
        audio = in_batches("scenes", heard, recipe.batch_size, embed_scenes)
        text = in_batches(
            "captions", len(distinct), recipe.text_batch_size, lambda part: encoder.embed_texts(distinct[part])
        )
    number = {caption: index for index, caption in enumerate(distinct)}
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(dim=0)])
    return {"audio": audio, "text": text[[number[caption] for caption in captions]], "offsets": offsets}


def _source(work: Path, split: Split) -> dict[str, str]:
    """What embeddings of a split are made from."""
    return {
        "encoder": fingerprint(finished(work, "clap/model").iterdir()),
        "scenes": scenes_fingerprint(work, split),
    }


def _stored_source(path: Path) -> dict[str, str] | None:
    """What a finished file of embeddings was made from; nothing for one that is not there or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            source: dict[str, str] = json.loads((file.metadata() or {})[_SOURCE])
            return source
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
