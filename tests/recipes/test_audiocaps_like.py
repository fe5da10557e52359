"""The stand-in for AudioCaps: in its layout, the same every time, and read as AudioCaps is."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from models.audio import SAMPLE_RATE_HZ
from models.training.audiocaps import AudioCapsRecipe
from models.training.corpus import CorpusRecipe
from models.training.data_recipe import list_data_set
from models.training.datasets import DATA_PARTS, count_bad, read_listed
from recipes.audiocaps_like import make


@pytest.fixture
def recipe(tmp_path: Path) -> CorpusRecipe:
    """Three sounds, and a take of each for every part."""
    sounds = ("beep", "clock", "hum")
    rows = "".join(f"{name},thing,a {name} sounds;the {name};{name}\n" for name in sounds)
    (tmp_path / "sounds.csv").write_text(f"sound,kind,phrases\n{rows}", encoding="utf-8")
    rng, takes = np.random.default_rng(0), []
    (tmp_path / "corpus").mkdir()
    for part in DATA_PARTS:
        for name in sounds:
            path = tmp_path / "corpus" / f"{part}-{name}.wav"
            sf.write(path, 0.5 * rng.uniform(-1, 1, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
            take = {"sound": name, "split": part, "package": "p", "source": "s", "path": str(path), "take": str(path)}
            takes.append(json.dumps(take) + "\n")
    (tmp_path / "corpus" / "recordings.jsonl").write_text("".join(takes), encoding="utf-8")
    counts = {f"{part}_scenes": 1 for part in ("encoder", *DATA_PARTS)}
    return CorpusRecipe(sounds=tmp_path / "sounds.csv", recordings=tmp_path / "none.csv", **counts)


def test_it_is_read_as_audiocaps(recipe: CorpusRecipe, tmp_path: Path) -> None:
    make(recipe, tmp_path / "corpus", tmp_path / "made", 10)
    with (tmp_path / "made" / "train.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["audiocap_id", "youtube_id", "start_time", "caption"]
    list_data_set(AudioCapsRecipe(kind="audiocaps", folder=tmp_path / "made", max_bad_share=0.0), tmp_path / "listed")
    clips = {part: read_listed(tmp_path / "listed", part) for part in DATA_PARTS}
    assert [len(clips[part]) for part in DATA_PARTS] == [8, 1, 1]
    assert [count_bad(tmp_path / "listed", part) for part in DATA_PARTS] == [0, 0, 0]
    assert {len(clip.captions) for clip in clips["bridge"]} == {1}
    assert len(clips["test"][0].captions) == 5
    youtube_id, start = clips["test"][0].id.rsplit("_", 1)
    assert len(youtube_id) == 11
    assert int(start) % 10 == 0
    info = sf.info(clips["test"][0].audio)
    assert (info.duration, info.samplerate, info.channels) == (10.0, SAMPLE_RATE_HZ, 1)


def test_it_is_the_same_every_time(recipe: CorpusRecipe, tmp_path: Path) -> None:
    def made(name: str) -> dict[str, bytes]:
        make(recipe, tmp_path / "corpus", tmp_path / name, 3)
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}

    assert made("one") == made("two")
