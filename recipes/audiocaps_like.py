"""Make a directory laid out as AudioCaps is, from scenes: for going through the production recipes without the data set.

Scenes are mixed as `corpus` mixes them, from the takes that it left in a work directory: those of the bridge part for
train/, of validation for val/, of test for test/. They differ from the real thing in all but form: ten seconds each, a
caption in train.csv, five in val.csv and test.csv, and ids that look like a video's.

    diffusion-link corpus recipes/embedded.toml          # once, for the takes
    python recipes/audiocaps_like.py recipes/embedded.toml audiocaps --clips 300
"""

import argparse
import base64
import csv
import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import soundfile as sf

from models.audio import SAMPLE_RATE_HZ
from models.training.bank import Part, read_sounds
from models.training.corpus import CorpusRecipe, load_takes
from models.training.mixing import mix_scene
from models.training.recipe import read_recipe

_SPLITS: dict[Part, str] = {"bridge": "train", "validation": "val", "test": "test"}
_HELD_OUT_SHARE = 0.1
_REFERENCES = 5


def make(recipe: CorpusRecipe, corpus: Path, output: Path, clips: int) -> None:
    """Write tables and audio; a clip follows from the recipe's seed, its part and its number."""
    held_out, audiocap_ids = max(1, round(_HELD_OUT_SHARE * clips)), count(1)
    for part, split in _SPLITS.items():
        size = clips - 2 * held_out if part == "bridge" else held_out
        make_split(recipe, corpus, output, part, size, audiocap_ids)
        print(f"{output / split}: {size} clips")


def make_split(recipe: CorpusRecipe, corpus: Path, output: Path, part: Part, size: int, audiocap_ids: Iterator[int]) -> None:
    """Write one table and its audio."""
    split = _SPLITS[part]
    takes, sounds = load_takes(corpus, part), {sound.name: sound for sound in read_sounds(recipe.sounds)}
    mix = recipe.mix.model_copy(update={"captions_per_scene": 1 if part == "bridge" else _REFERENCES})
    (output / split).mkdir(parents=True, exist_ok=True)
    with (output / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("audiocap_id", "youtube_id", "start_time", "caption"))
        for number in range(size):
            seed = f"audiocaps-like {recipe.seed} {part} {number}"
            scene = mix_scene(takes, sounds, mix, part == "bridge", seed)
            digest = hashlib.sha256(seed.encode()).digest()
            youtube_id, start_s = base64.urlsafe_b64encode(digest).decode()[:11], 10 * (digest[-1] % 30)
            sf.write(output / split / f"{youtube_id}_{start_s}.wav", scene.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
            table.writerows((next(audiocap_ids), youtube_id, start_s, caption) for caption in scene.captions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", type=Path, help="of the scenes, with a section [corpus]")
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", type=int, default=300, help="of all three splits together (300)")
    parser.add_argument("--work", type=Path, help="where `corpus` left its takes (work/RECIPE)")
    arguments = parser.parse_args()
    if arguments.clips < 3:
        parser.error("--clips must be 3 at least, one for each split")
    work = arguments.work or Path("work") / arguments.recipe.stem
    make(read_recipe(arguments.recipe).scenes, work / "corpus", arguments.output, arguments.clips)
