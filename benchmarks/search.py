"""Search by words: the time of an exact search through many sounds, and whether it finds the right ones.

    python -m benchmarks.search [--recipe FILE --work DIR] [--artifact DIR] [--out DIR]

With a recipe, and the folder where `corpus` worked by it, words are searched among the recordings and the scenes of the test
split, with the bridge and without it. A recording is right if the words are a phrase of its sound; a scene, if they are its
first caption.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from app.sound_index import IndexedArtifact, SoundIndex
from benchmarks.report import environment, format_results, write_json
from benchmarks.results import Results, Target
from models.artifact import EMBEDDED_ARTIFACT
from models.clap.store import load_clap
from models.device import resolve_device
from models.evaluation.clips import Clips, bridge_with_seed, listen_to_recordings, listen_to_scenes, read_recordings
from models.evaluation.retrieval import cosines, recall_at
from models.evaluation.texts import TextEmbedder
from models.pipeline import Pipeline
from models.training.bank import read_sounds
from models.training.folders import finished
from models.training.recipe import read_recipe
from models.training.scenes import SceneSet

_SOUNDS, _DIM, _REPEATS, _LISTED = 100_000, 256, 20, 10
_AT_MOST_MS = Target(high=100.0)
_EMBED_BATCH = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; exit status 1 where a search takes longer than it may."""
    parser = argparse.ArgumentParser(prog="benchmarks.search", description=__doc__.split("\n\n")[0])
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="measure recall too, on this recipe's corpus")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the recipe's corpus is")
    parser.add_argument("--artifact", type=Path, default=EMBEDDED_ARTIFACT, metavar="DIR", help="the embedded one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where search.json is written")
    options = parser.parse_args(arguments)
    if (options.recipe is None) != (options.work is None):
        parser.error("--recipe and --work go together")
    results = Results()
    measure_speed(results, _SOUNDS, _REPEATS)
    if options.recipe is not None:
        measure_recall(results, options.recipe, options.work, options.artifact, options.device)
    facts = environment()
    print(f"{facts['processor']}, {len(os.sched_getaffinity(0))} cores\n")
    print(format_results(results))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "search.json", results, environment=facts)
    return 1 if results.missed else 0


def measure_speed(results: Results, sounds: int, repeats: int) -> None:
    """Write, read and search an index of random embeddings."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((sounds, _DIM), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    names, stamps = [f"folder/{row:09}.wav" for row in range(sounds)], np.zeros((sounds, 2), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.npz"
        artifact = IndexedArtifact(name="random", version="1", files={})
        SoundIndex(artifact, folder, names, stamps, embeddings).save(path)
        for _ in range(repeats):
            started_s = time.perf_counter()
            index = SoundIndex.load(path)
            read_s = time.perf_counter()
            index.search(embeddings[0], _LISTED)
            results.add(f"search, {sounds:,} x {_DIM}", 1e3 * (time.perf_counter() - read_s), "ms", _AT_MOST_MS)
            results.add(f"reading the index, {sounds:,} x {_DIM}", 1e3 * (read_s - started_s), "ms")
            results.requests += 1


def measure_recall(results: Results, recipe_file: Path, work: Path, artifact: Path, device: str) -> None:
    """Search the test split of a recipe's corpus by words."""
    recipe = read_recipe(recipe_file)
    corpus = finished(work, "corpus")
    phrases = {sound.name: sound.phrases for sound in read_sounds(recipe.scenes.sounds)}
    pipeline = Pipeline.load(artifact, device)
    texts = TextEmbedder.load(pipeline, artifact, device)
    encoder = load_clap(artifact / "clap", resolve_device(device))
    recordings = listen_to_recordings(pipeline, read_recordings(corpus, "test"), phrases, _EMBED_BATCH, lambda _: None)
    scenes = listen_to_scenes(encoder, SceneSet.load(corpus, "test"), _EMBED_BATCH, lambda _: None)
    phrases_of = [set(row) for row in recordings.references]
    _add_recalls(results, "recordings", pipeline, texts, recordings, sorted(set().union(*phrases_of)), phrases_of)
    captions = [row[0] for row in scenes.references]
    _add_recalls(results, "scenes", pipeline, texts, scenes, captions, [{caption} for caption in captions])


def _add_recalls(
    results: Results,
    kind: str,
    pipeline: Pipeline,
    texts: TextEmbedder,
    clips: Clips,
    queries: Sequence[str],
    names: Sequence[set[str]],
) -> None:
    """Search clips by texts; a clip is right for each text among its names."""
    right: Bool[np.ndarray, "texts clips"] = np.array([[query in own for own in names] for query in queries])
    sides = texts.embed(queries)
    tables: dict[str, Float[np.ndarray, "texts clips"]] = {
        "bridged": cosines(sides.bridged, bridge_with_seed(pipeline, clips.raw, 0)),
        "unbridged": cosines(sides.raw, clips.raw),
        "chance": np.zeros(right.shape),
    }
    for name, scores in tables.items():
        for k in (1, 10):
            recall = 100 * recall_at(scores, right, k)
            results.add(f"{len(queries)} texts, {len(names)} {kind}, R@{k}, {name}", recall, "%")


if __name__ == "__main__":
    raise SystemExit(main())
