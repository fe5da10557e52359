"""A data set on disk, small and made up, for tests of what reads and embeds it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from models.training import embed_clips
from models.training.data_recipe import DataRecipe
from models.training.datasets import Clip
from models.training.manifest import ManifestRecipe
from tests.conftest import CAPTIONS

_WINDOWS = embed_clips._windows
_SIZES = {"train": 7, "validation": 3, "test": 2}


def write_data_set(folder: Path, seed: int = 0) -> DataRecipe:
    """Noise of half a second to twelve in several formats and rates, with one to three captions each, as a manifest."""
    rng = np.random.default_rng(seed)
    rows = []
    for part, size in _SIZES.items():
        (folder / part).mkdir(parents=True)
        for index in range(size):
            rate, extension = ((16_000, "wav"), (32_000, "flac"), (48_000, "ogg"))[index % 3]
            audio = f"{part}/{index}.{extension}"
            duration_s = 12.0 if index == 4 else float(rng.uniform(0.5, 3))
            sf.write(folder / audio, 0.1 * rng.normal(size=int(duration_s * rate)), rate)
            captions = [CAPTIONS[(index + step) % len(CAPTIONS)] for step in range(1 + index % 3)]
            rows.append({"audio": audio, "captions": captions, "part": part})
    (folder / "manifest.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return ManifestRecipe(kind="manifest", folder=folder, max_bad_share=0.3)


def watch_decoding(monkeypatch: pytest.MonkeyPatch, *, killed_at: str | None = None) -> list[str]:
    """Ids of the clips that are decoded from now on, as they come; one of them ends the run as Ctrl-C does."""
    decoded: list[str] = []

    def watched(clip: Clip) -> object:
        if clip.id == killed_at:
            raise KeyboardInterrupt
        decoded.append(clip.id)
        return _WINDOWS(clip)

    monkeypatch.setattr(embed_clips, "_windows", watched)
    return decoded
