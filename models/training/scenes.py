"""The scenes of one part of a corpus, as every later stage reads them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from models.clap.log_mel import NUM_FRAMES, NUM_MELS
from models.errors import TrainingError

SCENES_FILE, LOG_MEL_FILE = "scenes.jsonl", "log_mel.npy"


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """What is known of one scene."""

    id: str
    sounds: tuple[str, ...]
    layout: str
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SceneSet:
    """Records and log-mel spectrograms, row by row; the spectrograms stay on the disk until they are looked at."""

    records: list[SceneRecord]
    log_mel: Float16[np.ndarray, "scenes frames mels"]

    @classmethod
    def load(cls, corpus: Path, split: str) -> "SceneSet":
        """Open the scenes of one split.

        Raises:
            TrainingError: they are missing, or the two files do not belong together.
        """
        folder = corpus / split
        try:
            lines = (folder / SCENES_FILE).read_text(encoding="utf-8").splitlines()
            log_mel = np.load(folder / LOG_MEL_FILE, mmap_mode="r", allow_pickle=False)
            rows = [json.loads(line) for line in lines]
            records = [SceneRecord(row["id"], tuple(row["sounds"]), row["layout"], tuple(row["captions"])) for row in rows]
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{folder} holds no scenes that can be read ({error}); run `corpus` first") from error
        if log_mel.shape != (len(records), NUM_FRAMES, NUM_MELS) or log_mel.dtype != np.float16:
            raise TrainingError(f"{folder}: {log_mel.shape} of {log_mel.dtype} for {len(records)} scenes")
        return cls(records, log_mel)
