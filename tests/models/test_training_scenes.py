"""Scenes on disk: two files that belong together, or a refusal."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.errors import TrainingError
from models.training.scenes import SceneRecord, SceneSet

_ROW = {"id": "encoder-0", "sounds": ["dog"], "layout": "single", "captions": ["a dog barks", "barking"]}


def _write(corpus: Path, rows: str, log_mel: np.ndarray) -> None:
    (corpus / "encoder").mkdir(parents=True)
    (corpus / "encoder" / "scenes.jsonl").write_text(rows, encoding="utf-8")
    np.save(corpus / "encoder" / "log_mel.npy", log_mel)


def test_scenes_are_read_as_they_were_written_and_stay_on_the_disk(tmp_path: Path) -> None:
    log_mel = np.random.default_rng(0).normal(size=(1, 1001, 64)).astype(np.float16)
    _write(tmp_path, json.dumps(_ROW) + "\n", log_mel)
    scenes = SceneSet.load(tmp_path, "encoder")
    assert scenes.records == [SceneRecord("encoder-0", ("dog",), "single", ("a dog barks", "barking"))]
    assert isinstance(scenes.log_mel, np.memmap)
    np.testing.assert_array_equal(scenes.log_mel, log_mel)


@pytest.mark.parametrize(
    ("rows", "log_mel"),
    [
        (json.dumps(_ROW), np.zeros((2, 1001, 64), np.float16)),
        (json.dumps(_ROW), np.zeros((1, 1001, 64), np.float32)),
        (json.dumps(_ROW), np.zeros((1, 1000, 64), np.float16)),
        ("{", np.zeros((1, 1001, 64), np.float16)),
        ('{"id": "encoder-0"}', np.zeros((1, 1001, 64), np.float16)),
    ],
    ids=["one record, two spectrograms", "float32", "too short", "no JSON", "no captions"],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, rows: str, log_mel: np.ndarray) -> None:
    _write(tmp_path, rows, log_mel)
    with pytest.raises(TrainingError, match="encoder"):
        SceneSet.load(tmp_path, "encoder")


def test_missing_scenes_are_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="corpus"):
        SceneSet.load(tmp_path, "encoder")
