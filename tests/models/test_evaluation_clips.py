"""Recordings and scenes are listened to and captioned in batches, as they would be alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.audio import WINDOW_S
from models.clap.encoder import ClapEncoder
from models.errors import TrainingError
from models.evaluation.clips import Clips, caption_clips, listen_to_recordings, listen_to_scenes, read_recordings
from models.evaluation.settings import EvaluateRecipe
from models.training.scenes import SceneSet
from tests.models.evaluation_fakes import PHRASES, SOUNDS, FakePipeline, unit, write_tone


def _write_table(corpus: Path, lines: list[dict[str, str]]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (corpus / "recordings.jsonl").write_text(text, encoding="utf-8")


def _line(sound: str, path: Path, split: str = "test") -> dict[str, str]:
    return {"sound": sound, "split": split, "package": "p", "source": "s", "path": str(path), "take": "t"}


def test_recordings_of_one_split_are_listened_to_as_they_would_be_alone(tmp_path: Path) -> None:
    seconds = {"low": 0.5, "middle": 2.5 * WINDOW_S, "high": 0.2, "shrill": 1.0}
    files = {sound: write_tone(tmp_path / f"{sound}.wav", sound, seconds[sound]) for sound in SOUNDS}
    _write_table(tmp_path, [_line("low", files["high"], "encoder"), *(_line(sound, files[sound]) for sound in SOUNDS)])
    recordings = read_recordings(tmp_path, "test")
    done: list[int] = []
    pipeline = FakePipeline()
    clips = listen_to_recordings(pipeline, recordings, PHRASES, 2, done.append)
    assert pipeline.batches == [2, 2, 2]
    assert sum(done) == 4
    assert clips.ids == ["low.wav", "middle.wav", "high.wav", "shrill.wav"]
    assert clips.truths == [(sound,) for sound in SOUNDS]
    assert clips.references[0] == ("a low tone hums", "low humming")
    alone = [listen_to_recordings(FakePipeline(), [one], PHRASES, 32, done.append).raw for one in recordings]
    assert clips.raw == pytest.approx(np.concatenate(alone), abs=1e-6)
    assert clips.raw[:, :4].argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_a_sound_that_the_table_lacks_keeps_its_recordings(tmp_path: Path) -> None:
    _write_table(tmp_path, [_line("sea_lion", write_tone(tmp_path / "a.wav", "low"))])
    clips = listen_to_recordings(FakePipeline(), read_recordings(tmp_path, "test"), PHRASES, 4, lambda count: None)
    assert (clips.truths, clips.references) == ([("sea_lion",)], [("sea lion",)])


def test_a_missing_table_and_an_empty_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run `diffusion-link corpus`"):
        read_recordings(tmp_path, "test")
    _write_table(tmp_path, [_line("dog", tmp_path / "a.wav")])
    with pytest.raises(TrainingError, match="no recording in the split 'validation'"):
        read_recordings(tmp_path, "validation")


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"", "empty"), (b"text", "not a WAV")])
def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    _write_table(tmp_path, [_line("dog", path)])
    with pytest.raises(TrainingError, match=f"a.wav, a recording of 'dog': .*{reason}"):
        listen_to_recordings(FakePipeline(), read_recordings(tmp_path, "test"), PHRASES, 4, lambda count: None)


class _FakeEncoder(ClapEncoder):
    """Embeds a spectrogram by the mean of its first bands."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def embed_log_mel(self, log_mel: torch.Tensor) -> torch.Tensor:
        assert log_mel.dtype == torch.float32
        return nn.functional.normalize(log_mel.mean(dim=1)[:, :5], dim=1)


def _write_scenes(corpus: Path, count: int) -> None:
    (corpus / "test").mkdir()
    log_mel = np.random.default_rng(0).uniform(-80, 0, (count, 1001, 64)).astype(np.float16)
    np.save(corpus / "test" / "log_mel.npy", log_mel)
    lines = [
        {"id": f"s{index}", "sounds": ["low", "high"], "layout": "sequence", "captions": [f"one {index}", "two"]}
        for index in range(count)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (corpus / "test" / "scenes.jsonl").write_text(text, encoding="utf-8")


def test_scenes_are_embedded_from_their_spectrograms(tmp_path: Path) -> None:
    _write_scenes(tmp_path, 5)
    done: list[int] = []
    scenes = SceneSet.load(tmp_path, "test")
    clips = listen_to_scenes(_FakeEncoder(), scenes, 2, done.append)
    assert done == [2, 2, 1]
    assert clips.ids == ["s0", "s1", "s2", "s3", "s4"]
    assert clips.truths[0] == ("low", "high")
    assert clips.references[4] == ("one 4", "two")
    expected = unit(np.asarray(scenes.log_mel, dtype=np.float32).mean(axis=1)[:, :5])
    assert clips.raw == pytest.approx(expected, abs=1e-5)


def test_a_split_without_scenes_is_refused(tmp_path: Path) -> None:
    _write_scenes(tmp_path, 0)
    with pytest.raises(TrainingError, match="no scenes"):
        listen_to_scenes(_FakeEncoder(), SceneSet.load(tmp_path, "test"), 2, lambda count: None)


def test_captions_with_and_without_the_bridge_have_the_seed_of_the_recipe() -> None:
    rows = unit(np.column_stack([np.eye(4), np.ones(4)]))
    clips = Clips(ids=SOUNDS, truths=[(sound,) for sound in SOUNDS], references=[("x",)] * 4, raw=rows)
    pipeline, done = FakePipeline(), list[int]()
    captioned = caption_clips(pipeline, clips, EvaluateRecipe(seed=7, caption_batch_size=3), done.append)
    assert pipeline.seeds == {7}
    assert sum(done) == 8
    assert captioned.bridged == pytest.approx(np.eye(4, 5))
    assert [written.caption for written in captioned.captions] == [PHRASES[sound][0] for sound in SOUNDS]
    assert captioned.captions_raw[0].caption == PHRASES["middle"][0]
