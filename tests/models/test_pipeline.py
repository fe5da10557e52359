"""The one door: numpy in and out, unit embeddings, best caption first, and the same answers alone and in company."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float32

from models.artifact import read_manifest, write_manifest
from models.audio import WINDOW_SAMPLES, AudioLimits, cut_windows, decode_audio
from models.clap.encoder import ClapEncoder
from models.errors import ArtifactError, DeviceError, DeviceMemoryError
from models.pipeline import Budgets, Pipeline, ScoredCaption, pool_windows

_DIM = 16
_SEEDS = [3, 5, 2**63 - 1]
_Rows = Float32[np.ndarray, "rows columns"]


@pytest.fixture(scope="module")
def pipeline(tiny_artifact: Path) -> Pipeline:
    return Pipeline.load(tiny_artifact, "cpu")


@pytest.fixture(scope="module")
def windows() -> _Rows:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (3, WINDOW_SAMPLES)).astype(np.float32)


@pytest.fixture(scope="module")
def embeddings() -> _Rows:
    rows = np.random.default_rng(1).standard_normal((3, _DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _is_unit(rows: _Rows) -> bool:
    return rows.dtype == np.float32 and bool(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5))


def test_it_says_what_it_is(pipeline: Pipeline, tiny_artifact: Path) -> None:
    assert pipeline.manifest == read_manifest(tiny_artifact)
    assert (pipeline.dim, pipeline.device_name, pipeline.budgets) == (_DIM, "cpu", Budgets())
    assert pipeline.describe() == pipeline._networks.describe()


def test_audio_and_text_embeddings_are_claps(pipeline: Pipeline, windows: _Rows, tiny_clap: ClapEncoder) -> None:
    texts = ["a dog barks", "rain"]
    audio, text = pipeline.embed_audio(windows), pipeline.embed_texts(texts)
    assert _is_unit(audio)
    assert _is_unit(text)
    np.testing.assert_allclose(audio, tiny_clap.embed_audio(torch.tensor(windows)).numpy(), atol=1e-5)
    np.testing.assert_allclose(text, tiny_clap.embed_texts(texts).numpy(), atol=1e-5)


def test_passes_over_the_networks_leave_no_seam(
    pipeline: Pipeline, windows: _Rows, embeddings: _Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a dog barks", "rain", "a bell rings twice and then stops"]
    settings = {"seeds": _SEEDS, "candidates": 3, "max_new_tokens": 16}
    whole = pipeline.embed_audio(windows), pipeline.embed_texts(texts), pipeline.write(embeddings, **settings)
    bridged = pipeline.bridge(embeddings, _SEEDS)
    monkeypatch.setattr(pipeline, "_budgets", Budgets(windows=2, texts=2, embeddings=2, captions=2))
    np.testing.assert_allclose(pipeline.bridge(embeddings, _SEEDS), bridged, atol=1e-4)
    np.testing.assert_allclose(pipeline.embed_audio(windows), whole[0], atol=1e-4)
    np.testing.assert_allclose(pipeline.embed_texts(texts), whole[1], atol=1e-4)
    _assert_same(pipeline.write(embeddings, **settings), whole[2])


def _assert_same(captions: list[list[ScoredCaption]], others: list[list[ScoredCaption]]) -> None:
    assert [[scored.caption for scored in row] for row in captions] == [[scored.caption for scored in row] for row in others]
    for row, other in zip(captions, others, strict=True):
        assert [scored.score for scored in row] == pytest.approx([scored.score for scored in other], abs=1e-4)


def test_company_changes_nothing(pipeline: Pipeline, windows: _Rows, embeddings: _Rows) -> None:
    audio, bridged = pipeline.embed_audio(windows), pipeline.bridge(embeddings, _SEEDS)
    captions = pipeline.write(embeddings, seeds=_SEEDS, candidates=4, max_new_tokens=16)
    for i, seed in enumerate(_SEEDS):
        only = slice(i, i + 1)
        np.testing.assert_allclose(pipeline.embed_audio(windows[only]), audio[only], atol=1e-4)
        np.testing.assert_allclose(pipeline.bridge(embeddings[only], [seed]), bridged[only], atol=1e-4)
        alone = pipeline.write(embeddings[only], seeds=[seed], candidates=4, max_new_tokens=16)
        _assert_same(alone, captions[only])


def test_the_bridge_draws_from_its_seeds(pipeline: Pipeline, embeddings: _Rows) -> None:
    bridged = pipeline.bridge(embeddings, [7, 7, 7])
    assert _is_unit(bridged)
    assert np.array_equal(pipeline.bridge(embeddings, [7, 7, 7]), bridged)
    other = pipeline.bridge(embeddings, [7, 8, 7])
    assert [bool(np.allclose(*pair, atol=1e-4)) for pair in zip(bridged, other, strict=True)] == [True, False, True]


def test_captions_come_best_first_with_their_cosine(pipeline: Pipeline, embeddings: _Rows) -> None:
    written = pipeline.write(embeddings, seeds=_SEEDS, candidates=4, max_new_tokens=16)
    assert [len(row) for row in written] == [4, 4, 4]
    for embedding, row in zip(embeddings, written, strict=True):
        scores = [scored.score for scored in row]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 1
        expected = pipeline.embed_texts([scored.caption for scored in row]) @ embedding
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_one_candidate_is_the_beams_and_more_can_only_score_higher(pipeline: Pipeline, embeddings: _Rows) -> None:
    one = pipeline.write(embeddings, seeds=_SEEDS, candidates=1, max_new_tokens=16)
    many = pipeline.write(embeddings, seeds=_SEEDS, candidates=4, max_new_tokens=16)
    for (beam,), row in zip(one, many, strict=True):
        assert beam.caption in [scored.caption for scored in row]
        assert row[0].score >= beam.score - 1e-5


def test_scores_do_not_depend_on_the_length_of_the_embedding(pipeline: Pipeline, embeddings: _Rows) -> None:
    (row,) = pipeline.write(2 * embeddings[:1], seeds=[0], candidates=2, max_new_tokens=8)
    assert all(-1 <= scored.score <= 1 for scored in row)


def test_a_scored_caption_never_changes() -> None:
    scored = ScoredCaption("rain", 0.5, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scored.score = 1.0  # type: ignore[misc]


def test_nothing_in_nothing_out(pipeline: Pipeline) -> None:
    nothing = np.empty((0, _DIM), dtype=np.float32)
    assert pipeline.embed_audio(np.empty((0, WINDOW_SAMPLES), dtype=np.float32)).shape == (0, _DIM)
    assert pipeline.embed_texts([]).shape == (0, _DIM)
    assert pipeline.bridge(nothing, []).shape == (0, _DIM)
    assert pipeline.write(nothing, seeds=[], candidates=1, max_new_tokens=4) == []


def test_arrays_that_must_not_be_written_to_are_taken(pipeline: Pipeline, embeddings: _Rows, windows: _Rows) -> None:
    for rows in (embeddings, windows):
        rows.flags.writeable = False
    assert np.array_equal(pipeline.embed_audio(windows[::2]), pipeline.embed_audio(windows[[0, 2]]))
    assert _is_unit(pipeline.bridge(embeddings, range(3)))
    assert len(pipeline.write(embeddings, seeds=range(3), candidates=1, max_new_tokens=4)) == 3


def test_what_does_not_fit_is_refused(pipeline: Pipeline, embeddings: _Rows) -> None:
    with pytest.raises(ValueError, match="windows of 100 samples; they have 480000"):
        pipeline.embed_audio(np.zeros((1, 100), dtype=np.float32))
    for use in (pipeline.bridge, lambda rows, seeds: pipeline.write(rows, seeds=seeds, candidates=1, max_new_tokens=4)):
        with pytest.raises(ValueError, match="2 seeds, width 16, but embeddings"):
            use(embeddings, [1, 2])
        with pytest.raises(ValueError, match="3 seeds, width 16, but embeddings"):
            use(embeddings[:, :8].copy(), _SEEDS)
    with pytest.raises(ValueError, match="at least one candidate"):
        pipeline.write(embeddings, seeds=_SEEDS, candidates=0, max_new_tokens=4)


def test_a_clip_is_the_normalised_mean_of_its_windows() -> None:
    rows = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    pooled = pool_windows(rows)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, [0.5**0.5, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(pool_windows(rows[:1]), rows[0])
    assert np.array_equal(pool_windows(np.array([[1, 0], [-1, 0]], dtype=np.float32)), [0, 0])
    with pytest.raises(ValueError, match="at least one window"):
        pool_windows(rows[:0])


def test_tokens_of_a_caption_are_counted(pipeline: Pipeline, embeddings: _Rows) -> None:
    rows = pipeline.write(embeddings, seeds=range(len(embeddings)), candidates=2, max_new_tokens=6)
    assert all(1 <= caption.tokens <= 6 for row in rows for caption in row)
    assert not pipeline.concurrent
    assert pipeline.memory == {}


def test_a_lack_of_memory_has_a_name(
    pipeline: Pipeline, windows: _Rows, embeddings: _Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("too much")

    fails = (("clap", "embed_audio"), ("clap", "embed_texts"), ("bridge", "forward"), ("decoder", "generate"))
    for part, method in fails:
        monkeypatch.setattr(getattr(pipeline._networks, part), method, fail)
    calls = [
        lambda: pipeline.embed_audio(windows),
        lambda: pipeline.bridge(embeddings, range(len(embeddings))),
        lambda: pipeline.embed_texts(["a"]),
        lambda: pipeline.write(embeddings, seeds=range(len(embeddings)), candidates=1, max_new_tokens=3),
        pipeline.plan,
    ]
    for call in calls:
        with pytest.raises(DeviceMemoryError):
            call()


def test_a_file_gets_a_caption(pipeline: Pipeline, tone_wav: bytes) -> None:
    windows = cut_windows(decode_audio(tone_wav, AudioLimits()))
    clip = pool_windows(pipeline.embed_audio(windows))[None]
    ((scored,),) = pipeline.write(pipeline.bridge(clip, [0]), seeds=[0], candidates=1, max_new_tokens=20)
    assert scored.caption.strip()


def test_it_warms_up_all_of_itself(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    networks = pipeline._networks
    for network in (networks.clap, networks.bridge, networks.decoder.language_model):
        network.register_forward_pre_hook(lambda module, _: used.append(type(module).__name__))
    embed_audio, embed_texts = ClapEncoder.embed_audio, ClapEncoder.embed_texts
    monkeypatch.setattr(ClapEncoder, "embed_audio", lambda *a: used.append("audio") or embed_audio(*a))
    monkeypatch.setattr(ClapEncoder, "embed_texts", lambda *a: used.append("texts") or embed_texts(*a))
    pipeline.warm_up()
    assert {"audio", "texts", "DiffusionLink", "GPT2LMHeadModel"} <= set(used)


def test_threads_are_set_where_asked_for(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    Pipeline.load(tiny_artifact, "cpu")
    assert asked == []
    Pipeline.load(tiny_artifact, "cpu", cpu_threads=2)
    assert asked == [2]


def test_a_damaged_artifact_is_refused(tiny_artifact: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(tiny_artifact, tmp_path / "copy"))
    weights = directory / "bridge/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ArtifactError, match="is damaged") as refused:
        Pipeline.load(directory, "cpu")
    assert refused.value.path == weights


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        Pipeline.load(tmp_path / "nothing", "cuda:99")
    with pytest.raises(DeviceError, match="precision 'fp8' is not known"):
        Pipeline.load(tmp_path / "nothing", "cpu", precision="fp8")


def test_an_artifact_can_be_signed_again(tiny_artifact: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(tiny_artifact, tmp_path / "copy"))
    facts = read_manifest(directory).model_dump(exclude={"schema_version", "files", "version"})
    write_manifest(directory, **facts, version="2")
    assert Pipeline.load(directory, "cpu").manifest.version == "2"
