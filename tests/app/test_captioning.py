"""What the stages run: rows of a batch stay with their items."""

import numpy as np
import pytest

from app.captioning import AudioFile, ClipJob, TextsJob, WriteJob, decode_clip, embed_cost, embed_jobs, write_jobs
from models.audio import WINDOW_SAMPLES, AudioLimits
from models.errors import EmptyAudioError
from models.pipeline import pool_windows
from tests.app.fakes import FakePipeline, sound


def _windows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, WINDOW_SAMPLES)).astype(np.float32) * (seed + 1) / 10


def test_a_clip_is_windows_and_their_spans() -> None:
    clip = decode_clip(AudioFile("a", lambda: sound(25.0, 8_000)), AudioLimits())
    assert clip.windows.shape == (3, WINDOW_SAMPLES)
    assert clip.extent.duration_s == 25
    assert clip.extent.spans_s == [(0, 10), (10, 20), (20, 25)]
    with pytest.raises(EmptyAudioError):
        decode_clip(AudioFile("a", lambda: b""), AudioLimits())


def test_costs_are_windows() -> None:
    assert embed_cost(ClipJob(_windows(3, 0), 0)) == 3
    assert [embed_cost(TextsJob(["a"] * count)) for count in (1, 16, 17)] == [1, 1, 2]
    job = WriteJob(np.ones(8, dtype=np.float32), 0, 3, 5)
    assert (job.cost, job.key) == (15, (3, 5))


def test_clips_of_a_batch_are_embedded_as_if_alone(pipeline: FakePipeline) -> None:
    jobs = [ClipJob(_windows(count, seed), seed) for seed, count in enumerate((1, 3, 2))]
    together = embed_jobs(pipeline, jobs)
    assert pipeline.embedded == [6]
    for job, embedded in zip(jobs, together, strict=True):
        (alone,) = embed_jobs(pipeline, [job])
        np.testing.assert_allclose(embedded.raw, alone.raw, atol=1e-6)
        np.testing.assert_allclose(embedded.bridged, alone.bridged, atol=1e-6)
        np.testing.assert_array_equal(embedded.raw[0], pool_windows(embedded.raw[1:]))
        assert len(embedded.raw) == len(embedded.bridged) == len(job.windows) + 1


def test_texts_of_a_batch_are_embedded_as_if_alone(pipeline: FakePipeline) -> None:
    jobs = [TextsJob(["a", "bb"]), TextsJob(["banana"])]
    first, second = embed_jobs(pipeline, jobs)
    assert pipeline.texts == [3]
    assert (first.raw.shape, second.raw.shape) == ((2, 8), (1, 8))
    np.testing.assert_array_equal(second.raw, embed_jobs(pipeline, jobs[1:])[0].raw)
    np.testing.assert_array_equal(second.raw, second.bridged)


def test_captions_of_a_batch_are_written_at_once(pipeline: FakePipeline) -> None:
    rows = np.eye(8, dtype=np.float32)
    written = write_jobs(pipeline, [WriteJob(rows[index], index, 2, 6) for index in (0, 7)])
    assert pipeline.written == [(2, 2, 6)]
    captions = [[candidate.caption for candidate in candidates] for candidates in written]
    assert captions == [
        ["sound 1.000 0.000 (0, 6, 0)", "sound 1.000 0.000 (0, 6, 1)"],
        ["sound 0.000 1.000 (7, 6, 0)", "sound 0.000 1.000 (7, 6, 1)"],
    ]
