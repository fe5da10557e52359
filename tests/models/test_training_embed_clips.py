"""Clips to embeddings: as the service embeds them, shard by shard, and bad files with their reasons."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from models.audio import AudioLimits, Waveform, cut_windows, decode_audio
from models.clap.encoder import ClapEncoder
from models.errors import RecipeError
from models.pipeline import pool_windows
from models.training import embed_clips
from models.training.data_recipe import list_data_set
from models.training.datasets import BadClip, Clip, read_listed
from models.training.embed_clips import ClipEmbedder
from tests.models.data_set import watch_decoding, write_data_set

_SOURCE = {"encoder": "a", "scenes": "b"}


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """Seven clips, to be kept in shards of three."""
    monkeypatch.setattr(embed_clips, "_SHARD_CLIPS", 3)
    list_data_set(write_data_set(tmp_path / "data"), tmp_path / "corpus")
    return read_listed(tmp_path / "corpus", "bridge")


def _nothing(what: object) -> None:
    pass


def _embedder(encoder: ClapEncoder) -> ClipEmbedder:
    return ClipEmbedder(encoder, batch_size=2, text_batch_size=3)


def test_a_clip_is_embedded_as_the_service_does_it(tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder) -> None:
    tensors, bad = _embedder(tiny_clap).embed(clips, tmp_path / "shards", _SOURCE, _nothing, _nothing)
    assert bad == []
    assert tensors["rows"].tolist() == list(range(7))
    for row, clip in enumerate(clips):
        windows = cut_windows(decode_audio(clip.audio.read_bytes(), AudioLimits()))
        assert len(windows) == (2 if row == 4 else 1)
        expected = pool_windows(tiny_clap.embed_audio(torch.from_numpy(windows)).numpy())
        np.testing.assert_allclose(tensors["audio"][row].numpy(), expected, atol=1e-5)
    said = [caption for clip in clips for caption in clip.captions]
    torch.testing.assert_close(tensors["text"], tiny_clap.embed_texts(said))
    assert tensors["offsets"].diff().tolist() == [len(clip.captions) for clip in clips]


def test_what_cannot_be_decoded_is_left_out_and_named(tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder) -> None:
    clips[1].audio.write_bytes(b"no audio")
    clips[5].audio.unlink()
    checked: list[list[str]] = []

    def check(bad: Sequence[BadClip]) -> None:
        checked.append([one.id for one in bad])

    tensors, bad = _embedder(tiny_clap).embed(clips, tmp_path / "shards", _SOURCE, check, _nothing)
    assert tensors["rows"].tolist() == [0, 2, 3, 4, 6]
    assert tensors["offsets"].diff().tolist() == [len(clips[row].captions) for row in (0, 2, 3, 4, 6)]
    assert [one.id for one in bad] == ["train/1.flac", "train/5.ogg"]
    assert "1.flac: not a WAV, FLAC, OGG or MP3 file" in bad[0].reason
    assert bad[1].reason == "5.ogg cannot be read: No such file or directory"
    assert checked == [["train/1.flac"], ["train/1.flac", "train/5.ogg"], ["train/1.flac", "train/5.ogg"]]


def test_a_check_that_fails_ends_the_run_at_its_shard(tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder) -> None:
    clips[4].audio.write_bytes(b"")

    def check(bad: Sequence[BadClip]) -> None:
        if bad:
            raise RecipeError("too many")

    with pytest.raises(RecipeError, match="too many"):
        _embedder(tiny_clap).embed(clips, tmp_path / "shards", _SOURCE, check, _nothing)
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == ["00000.safetensors", "00001.safetensors"]


@pytest.mark.parametrize("killed_at", [0, 2, 4, 5, 6])
def test_a_run_that_was_cut_off_ends_like_an_unbroken_one(
    tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    clips[3].audio.write_bytes(b"no audio")
    whole, bad = _embedder(tiny_clap).embed(clips, tmp_path / "whole", _SOURCE, _nothing, _nothing)
    watch_decoding(monkeypatch, killed_at=clips[killed_at].id)
    with pytest.raises(KeyboardInterrupt):
        _embedder(tiny_clap).embed(clips, tmp_path / "broken", _SOURCE, _nothing, _nothing)
    decoded = watch_decoding(monkeypatch)
    resumed, bad_again = _embedder(tiny_clap).embed(clips, tmp_path / "broken", _SOURCE, _nothing, _nothing)
    assert sorted(decoded) == [clip.id for clip in clips[3 * (killed_at // 3) :]]
    assert bad_again == bad
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "broken")]
    assert files[0] == files[1]
    assert len(files[0]) == 3


def test_shards_of_another_source_or_damaged_are_made_again(
    tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder
) -> None:
    embedder, shards = _embedder(tiny_clap), tmp_path / "shards"
    embedder.embed(clips, shards, {"encoder": "another"}, _nothing, _nothing)
    (shards / "00001.safetensors").write_bytes(b"\0" * 9)
    once, _ = embedder.embed(clips, shards, _SOURCE, _nothing, _nothing)
    times = {path.name: path.stat().st_mtime_ns for path in shards.iterdir()}
    (shards / "00001.safetensors").write_bytes(b"\0" * 9)
    again, _ = embedder.embed(clips, shards, _SOURCE, _nothing, _nothing)
    assert all(torch.equal(once[name], again[name]) for name in once)
    changed = {path.name for path in shards.iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"00001.safetensors"}


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_shard_without_a_usable_clip_is_empty(
    tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder, shard: int
) -> None:
    broken = list(range(7))[3 * shard : 3 * shard + 3]
    for row in broken:
        clips[row].audio.write_bytes(b"")
    tensors, bad = _embedder(tiny_clap).embed(clips, tmp_path / "shards", _SOURCE, _nothing, _nothing)
    kept = [row for row in range(7) if row not in broken]
    assert tensors["rows"].tolist() == kept
    assert tensors["audio"].shape == (len(kept), tiny_clap.dim)
    assert tensors["offsets"].diff().tolist() == [len(clips[row].captions) for row in kept]
    said = [caption for row in kept for caption in clips[row].captions]
    torch.testing.assert_close(tensors["text"], tiny_clap.embed_texts(said))
    assert [one.id for one in bad] == [clips[row].id for row in broken]


def test_a_thread_that_fails_ends_the_run(
    tmp_path: Path, clips: list[Clip], tiny_clap: ClapEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()

    def failing(clip: Clip) -> object:
        raise MemoryError

    monkeypatch.setattr(embed_clips, "_windows", failing)
    with pytest.raises(MemoryError):
        _embedder(tiny_clap).embed(clips, tmp_path / "shards", _SOURCE, _nothing, _nothing)
    assert threading.active_count() == before
    assert list((tmp_path / "shards").iterdir()) == []


def test_few_clips_are_decoded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [Clip(str(number), tmp_path / "a.wav", ("a",)) for number in range(50)]
    started: list[str] = []
    lock = threading.Lock()

    def windows(clip: Clip) -> object:
        with lock:
            started.append(clip.id)
        return cut_windows(Waveform(np.zeros(1_000, dtype=np.float32)))

    monkeypatch.setattr(embed_clips, "_windows", windows)
    decoded = embed_clips.decode_clips(clips)
    for number in range(1, 51):
        next(decoded)
        assert len(started) <= number + embed_clips._DECODED_AHEAD
    assert sorted(started, key=int) == [clip.id for clip in clips]
