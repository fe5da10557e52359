"""What the stages run: rows of a batch stay with their items, and a clip comes with its last window."""

import numpy as np

from app.captioning import ClipInWork, Embedded, Extent, TextsJob, WindowJob, WriteJob, embed_jobs, write_jobs
from models.audio import WINDOW_SAMPLES
from models.pipeline import pool_windows
from tests.app.fakes import FakePipeline


def _jobs(count: int, seed: int) -> list[WindowJob]:
    windows = np.random.default_rng(seed).uniform(-1, 1, (count, WINDOW_SAMPLES)).astype(np.float32) * (seed + 1) / 10
    clip = ClipInWork(seed)
    return [WindowJob(window, clip, index, index == count - 1) for index, window in enumerate(windows)]


def _clip(answers: list[Embedded | None]) -> Embedded:
    *nothing, clip = answers
    assert nothing == [None] * len(nothing)
    assert clip is not None
    return clip


def test_an_extent_is_a_duration_and_spans() -> None:
    assert Extent.of(25.0, 3).spans_s == [(0, 10), (10, 20), (20, 25)]


def test_the_cost_of_writing_is_tokens() -> None:
    job = WriteJob(np.ones(8, dtype=np.float32), 0, 3, 5)
    assert (job.cost, job.key) == (15, (3, 5))


def test_clips_of_a_batch_are_embedded_as_if_alone(pipeline: FakePipeline) -> None:
    counts = (1, 3, 2)
    answers = embed_jobs(pipeline, [job for seed, count in enumerate(counts) for job in _jobs(count, seed)])
    assert pipeline.embedded == [6]
    for seed, count in enumerate(counts):
        embedded = _clip(answers[:count])
        answers = answers[count:]
        alone = _clip([answer for job in _jobs(count, seed) for answer in embed_jobs(pipeline, [job])][-1:])
        one_by_one = [embed_jobs(pipeline, [job])[0] for job in _jobs(count, seed)]
        assert one_by_one[:-1] == [None] * (count - 1)
        np.testing.assert_allclose(embedded.raw[0], pool_windows(embedded.raw[1:]), atol=0)
        assert len(embedded.raw) == len(embedded.bridged) == count + 1
        if count == 1:
            np.testing.assert_allclose(embedded.raw, alone.raw, atol=1e-6)
            np.testing.assert_allclose(embedded.bridged, alone.bridged, atol=1e-6)


def test_windows_of_a_clip_may_come_in_several_batches(pipeline: FakePipeline) -> None:
    together = _clip(embed_jobs(pipeline, _jobs(3, 4)))
    jobs = _jobs(3, 4)
    apart = _clip([*embed_jobs(pipeline, jobs[:2]), *embed_jobs(pipeline, jobs[2:])])
    np.testing.assert_allclose(together.raw, apart.raw, atol=1e-6)
    np.testing.assert_allclose(together.bridged, apart.bridged, atol=1e-6)
    assert apart.bridge_s > 0


def test_a_clip_that_lacks_a_window_is_none(pipeline: FakePipeline) -> None:
    assert embed_jobs(pipeline, _jobs(3, 4)[1:]) == [None, None]


def test_a_window_that_is_run_again_counts_once(pipeline: FakePipeline) -> None:
    jobs = _jobs(2, 4)
    embed_jobs(pipeline, jobs[:1])
    assert len(_clip(embed_jobs(pipeline, jobs)).raw) == 3


def test_texts_of_a_batch_are_embedded_as_if_alone(pipeline: FakePipeline) -> None:
    jobs = [TextsJob(["a", "bb"]), TextsJob(["banana"])]
    first, second = embed_jobs(pipeline, jobs)
    assert pipeline.texts == [3]
    assert first is not None
    assert second is not None
    assert (first.raw.shape, second.raw.shape) == ((2, 8), (1, 8))
    np.testing.assert_array_equal(second.raw, _clip(embed_jobs(pipeline, jobs[1:])).raw)
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
