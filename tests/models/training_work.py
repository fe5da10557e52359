"""A work directory as the corpus and train-clap stages leave it, small and made up, for tests of the stages behind them."""

import json
from pathlib import Path

import numpy as np

from models.clap.encoder import ClapEncoder
from models.clap.store import save_clap
from tests.conftest import CAPTIONS

_SIZES = {"encoder": 6, "bridge": 24, "validation": 8, "test": 6}


def write_corpus(work: Path, seed: int = 0) -> None:
    """Noise for scenes; each has two to three captions."""
    rng = np.random.default_rng(seed)
    for split, size in _SIZES.items():
        directory = work / "corpus" / split
        directory.mkdir(parents=True)
        log_mel = rng.normal(-40, 15, size=(size, 1001, 64)) + rng.normal(0, 20, size=(size, 1, 64))
        np.save(directory / "log_mel.npy", log_mel.astype(np.float16))
        lines = []
        for index in range(size):
            captions = [CAPTIONS[(index + step) % len(CAPTIONS)] for step in range(2 + index % 2)]
            record = {"id": f"{split}-{index}", "sounds": ["dog"], "layout": "single", "captions": captions}
            lines.append(json.dumps(record) + "\n")
        (directory / "scenes.jsonl").write_text("".join(lines), encoding="utf-8")
    (work / "corpus" / "summary.json").write_text(json.dumps({"scenes": sum(_SIZES.values())}), encoding="utf-8")


def write_clap(work: Path, encoder: ClapEncoder) -> None:
    """The encoder where train-clap leaves it."""
    save_clap(encoder, work / "clap" / "model")


def log_lines(directory: Path) -> list[dict[str, float]]:
    """The JSON-lines log of a stage."""
    return [json.loads(line) for line in (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()]
