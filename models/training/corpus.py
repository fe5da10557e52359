"""corpus: from tables of labelled recordings to scenes with captions; writes corpus/, which every later stage reads.

Takes first (`takes`), then scenes (`mixing`) in shards, each scene from its own seed, so that neither the number of
workers nor an interruption changes a byte. A part is finished when its scenes.jsonl is there.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import soundfile as sf
import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from models.clap.log_mel import NUM_FRAMES, NUM_MELS, LogMel
from models.errors import RecipeError
from models.output import say
from models.training.bank import PARTS, Part, Sound, read_recordings, read_sounds
from models.training.folders import write_whole
from models.training.mixing import MixSettings, Scene, mix_scene
from models.training.progress import progress_bar
from models.training.scenes import LOG_MEL_FILE, SCENES_FILE
from models.training.takes import RECORDINGS_FILE, UNUSABLE_FILE, Take, prepare_takes

_IN_ORDER: tuple[Part, ...] = ("validation", "encoder", "bridge", "test")
"""What train-clap needs comes first: it may begin while the rest is being mixed."""
_SHARD_SCENES = 128
_LOG_MEL_BATCH = 16


class CorpusRecipe(BaseModel):
    """Settings of corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sounds: Path
    """Table of sounds."""
    recordings: Path
    """Table of recordings."""
    folder: Path = Path("soundbank")
    """Where the packages are unpacked, each in a folder of its name."""
    seed: NonNegativeInt = 0
    encoder_scenes: PositiveInt
    bridge_scenes: PositiveInt
    validation_scenes: PositiveInt
    test_scenes: PositiveInt
    mix: MixSettings = MixSettings()
    max_bad_share: float = Field(default=0.02, ge=0.0, le=1.0)
    """Recordings that may be missing or unreadable."""
    workers: PositiveInt = 2
    """Processes that mix; they change nothing but the time."""

    def scenes_of(self, part: Part) -> int:
        """Scenes of one part."""
        return int(getattr(self, f"{part}_scenes"))


def make_corpus(recipe: CorpusRecipe, output: Path) -> None:
    """Make what of the corpus is not there yet.

    Raises:
        RecipeError: a table is wrong, too many recordings cannot be used, or a part has no sound at all.
    """
    sounds = read_sounds(recipe.sounds)
    recordings = read_recordings(recipe.recordings, sounds)
    output.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        if not (output / RECORDINGS_FILE).is_file():
            task = progress.add_task("takes", total=len(recordings))
            prepare_takes(
                recordings, recipe.folder, output, recipe.seed, recipe.max_bad_share, lambda: progress.advance(task)
            )
        takes = _read_takes(output)
        with ProcessPoolExecutor(recipe.workers, get_context("spawn"), initializer=_end_with_the_parent) as pool:
            for part in _IN_ORDER:
                if not (output / part / SCENES_FILE).is_file():
                    if not any(take.split == part for take in takes):
                        raise RecipeError(f"no recording is left for the {part} part")
                    task = progress.add_task(f"scenes: {part}", total=recipe.scenes_of(part))
                    for done in _make_shards(pool, recipe, output, part):
                        progress.advance(task, done)
                    _join(output / part)
    _write_summary(recipe, takes, sounds, output)


def _read_takes(output: Path) -> list[Take]:
    lines = (output / RECORDINGS_FILE).read_text(encoding="utf-8").splitlines()
    return [Take(**json.loads(line)) for line in lines]


def _end_with_the_parent() -> None:
    """End this worker when its parent is killed: left alone it would wait for work for ever, holding all takes."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


def _make_shards(pool: Executor, recipe: CorpusRecipe, output: Path, part: Part) -> Iterator[int]:
    """Mix the shards that are missing; yields the number of scenes of each as it is done."""
    (output / part / "shards").mkdir(parents=True, exist_ok=True)
    total = recipe.scenes_of(part)
    starts = range(0, total, _SHARD_SCENES)
    jobs = [pool.submit(_make_shard, recipe, output, part, start, min(_SHARD_SCENES, total - start)) for start in starts]
    for job in jobs:
        yield job.result()


def _make_shard(recipe: CorpusRecipe, output: Path, part: Part, start: int, count: int) -> int:
    """Write one shard, unless it is there: the spectrograms last, since they say that it is whole."""
    directory = output / part / "shards"
    target = directory / f"{start:08d}.npy"
    if target.is_file():
        return count
    torch.set_num_threads(1)
    takes, sounds = load_takes(output, part), {sound.name: sound for sound in read_sounds(recipe.sounds)}
    scenes = [
        mix_scene(takes, sounds, recipe.mix, part in ("encoder", "bridge"), f"{recipe.seed} {part} {number}")
        for number in range(start, start + count)
    ]
    lines = [json.dumps(_record(part, start + index, scene)) for index, scene in enumerate(scenes)]
    target.with_suffix(".jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    unfinished = target.with_suffix(".new")
    with unfinished.open("wb") as file:
        np.save(file, _log_mel([scene.samples for scene in scenes]))
    unfinished.replace(target)
    return count


def _record(part: Part, number: int, scene: Scene) -> dict[str, Any]:
    return {"id": f"{part}-{number}", "sounds": scene.sounds, "layout": scene.layout, "captions": scene.captions}


def _log_mel(samples: Sequence[np.ndarray]) -> np.ndarray:
    transform = LogMel()
    batches = range(0, len(samples), _LOG_MEL_BATCH)
    return np.concatenate(
        [transform(torch.from_numpy(np.stack(samples[i : i + _LOG_MEL_BATCH]))).half().numpy() for i in batches]
    )


@cache
def load_takes(output: Path, part: Part) -> dict[str, list[np.ndarray]]:
    """The takes of a part by sound; kept for the next shard of this process."""
    takes: dict[str, list[np.ndarray]] = {}
    for take in _read_takes(output):
        if take.split == part:
            takes.setdefault(take.sound, []).append(sf.read(take.take, dtype="float32")[0])
    return takes


def _join(directory: Path) -> None:
    """One file of spectrograms and one of records from all shards; the records last."""
    shards = sorted((directory / "shards").glob("*.npy"))
    counts = [len(np.load(shard, mmap_mode="r")) for shard in shards]
    joined = np.lib.format.open_memmap(
        directory / LOG_MEL_FILE, mode="w+", dtype=np.float16, shape=(sum(counts), NUM_FRAMES, NUM_MELS)
    )
    row = 0
    for shard, count in zip(shards, counts, strict=True):
        joined[row : row + count] = np.load(shard, mmap_mode="r")
        row += count
    joined.flush()
    lines = "".join(shard.with_suffix(".jsonl").read_text(encoding="utf-8") for shard in shards)
    write_whole(directory / SCENES_FILE, lines)
    shutil.rmtree(directory / "shards")


def _write_summary(recipe: CorpusRecipe, takes: Sequence[Take], sounds: Sequence[Sound], output: Path) -> None:
    by_part = {part: Counter(take.sound for take in takes if take.split == part) for part in PARTS}
    summary = {
        "sounds": len(sounds),
        "scenes": {part: recipe.scenes_of(part) for part in PARTS},
        "takes": {part: sum(counts.values()) for part, counts in by_part.items()},
        "sounds_without_takes": {
            part: sorted(sound.name for sound in sounds if sound.name not in counts) for part, counts in by_part.items()
        },
        "unusable": (output / UNUSABLE_FILE).read_text(encoding="utf-8").splitlines(),
        "packages": dict(sorted(Counter(take.package for take in takes).items())),
    }
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    for part, counts in by_part.items():
        scenes, total = recipe.scenes_of(part), sum(counts.values())
        say(f"corpus, {part}: {scenes} scenes, from {total} recordings", part=part, scenes=scenes, recordings=total)
