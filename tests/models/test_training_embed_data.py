"""embed for a data set: clips in shards, bad ones counted and left out, and nothing that is no longer true."""

from pathlib import Path

import pytest
import torch

from models.clap.encoder import ClapEncoder
from models.errors import RecipeError, TrainingError
from models.training import embed_clips
from models.training.data_recipe import list_data_set
from models.training.datasets import read_listed
from models.training.embed import EmbeddingSet, EmbedRecipe, embed, load_decoder_texts
from tests.models.data_set import watch_decoding, write_data_set
from tests.models.training_work import log_lines, write_clap

_RECIPE = EmbedRecipe(batch_size=5, text_batch_size=7)


@pytest.fixture
def data_work(tmp_path: Path, tiny_clap: ClapEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder with a data set in place of scenes, embedded in shards of three clips."""
    monkeypatch.setattr(embed_clips, "_SHARD_CLIPS", 3)
    list_data_set(write_data_set(tmp_path / "data"), tmp_path / "corpus")
    write_clap(tmp_path, tiny_clap)
    return tmp_path


def _files(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (work / "embeddings").glob("*.safetensors")}


def test_a_data_set_is_embedded_with_the_captions_of_what_was_kept(data_work: Path, tiny_clap: ClapEncoder) -> None:
    clips = read_listed(data_work / "corpus", "bridge")
    clips[1].audio.write_bytes(b"x" * clips[1].audio.stat().st_size)
    embed(_RECIPE, data_work, "cpu", resume=False, max_bad_share=0.3)
    pairs, kept = EmbeddingSet.load(data_work, "bridge"), [clip for clip in clips if clip != clips[1]]
    assert len(pairs.audio) == 6
    assert pairs.captions == [caption for clip in kept for caption in clip.captions]
    assert [pairs.captions[row] for row in pairs.offsets[:-1]] == [clip.captions[0] for clip in kept]
    torch.testing.assert_close(pairs.text, tiny_clap.embed_texts(pairs.captions))
    lines = log_lines(data_work / "embeddings")
    assert [(line["split"], line.get("unusable")) for line in lines] == [
        ("bridge", "train/1.flac"),
        ("bridge", None),
        ("validation", None),
        ("test", None),
    ]
    assert "not a WAV, FLAC, OGG or MP3 file" in str(lines[0]["reason"])
    assert sorted(_files(data_work)) == ["bridge.safetensors", "test.safetensors", "validation.safetensors"]


def test_too_many_bad_clips_end_the_run_and_those_that_were_missing_count(data_work: Path) -> None:
    clips = read_listed(data_work / "corpus", "bridge")
    clips[1].audio.unlink()
    recipe = write_data_set(data_work / "other").model_copy(update={"folder": data_work / "data"})
    list_data_set(recipe, data_work / "corpus")
    embed(_RECIPE, data_work, "cpu", resume=False, max_bad_share=0.2)
    clips[6].audio.write_bytes(b"x" * clips[6].audio.stat().st_size)
    with pytest.raises(RecipeError, match=r"embed, bridge: 2 of 7 clips .* train/6\.wav: 6\.wav: not a WAV"):
        embed(_RECIPE, data_work, "cpu", resume=False, max_bad_share=0.2)


def test_a_killed_run_of_a_data_set_goes_on_at_its_shard(data_work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(_RECIPE, data_work, "cpu", resume=False)
    whole = _files(data_work)
    (data_work / "embeddings").rename(data_work / "whole")
    watch_decoding(monkeypatch, killed_at="train/4.flac")
    with pytest.raises(KeyboardInterrupt):
        embed(_RECIPE, data_work, "cpu", resume=False)
    assert _files(data_work) == {}
    decoded = watch_decoding(monkeypatch)
    embed(_RECIPE, data_work, "cpu", resume=True)
    assert _files(data_work) == whole
    assert not {"train/0.wav", "train/1.flac", "train/2.ogg"} & set(decoded)
    assert not [path for path in (data_work / "embeddings").iterdir() if path.is_dir()]
    decoded.clear()
    embed(_RECIPE, data_work, "cpu", resume=True)
    assert decoded == []


def test_shards_of_another_precision_are_not_mixed(data_work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(_RECIPE, data_work, "cpu", resume=False, precision="bf16")
    whole = _files(data_work)
    (data_work / "embeddings").rename(data_work / "whole")
    watch_decoding(monkeypatch, killed_at="train/4.flac")
    with pytest.raises(KeyboardInterrupt):
        embed(_RECIPE, data_work, "cpu", resume=False, precision="fp32")
    watch_decoding(monkeypatch)
    embed(_RECIPE, data_work, "cpu", resume=True, precision="bf16")
    assert _files(data_work) == whole


def test_a_finished_split_of_another_precision_is_made_again(data_work: Path) -> None:
    embed(_RECIPE, data_work, "cpu", resume=False, precision="bf16")
    rough, dtype = _files(data_work), EmbeddingSet.load(data_work, "bridge").audio.dtype
    embed(_RECIPE, data_work, "cpu", resume=True)
    exact = _files(data_work)
    assert dtype == torch.float32
    assert all(exact[name] != rough[name] for name in rough)
    embed(_RECIPE, data_work, "cpu", resume=True, precision="bf16")
    assert _files(data_work) == rough


def test_a_listed_file_that_has_changed_is_named(data_work: Path) -> None:
    (data_work / "data" / "test" / "1.flac").write_bytes(b"other")
    with pytest.raises(TrainingError, match=r"1\.flac is not what was listed"):
        embed(_RECIPE, data_work, "cpu", resume=False)


def test_a_part_that_cannot_be_decoded_at_all_is_refused(data_work: Path) -> None:
    for clip in read_listed(data_work / "corpus", "test"):
        clip.audio.write_bytes(b"x" * clip.audio.stat().st_size)
    with pytest.raises(TrainingError, match="no clip of test can be decoded"):
        embed(_RECIPE, data_work, "cpu", resume=False, max_bad_share=1.0)


def test_a_new_list_makes_embeddings_untrue(data_work: Path) -> None:
    embed(_RECIPE, data_work, "cpu", resume=False)
    lines = (data_work / "data" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    (data_work / "data" / "manifest.jsonl").write_text("\n".join(lines[1:]), encoding="utf-8")
    recipe = write_data_set(data_work / "other").model_copy(update={"folder": data_work / "data"})
    list_data_set(recipe, data_work / "corpus")
    with pytest.raises(TrainingError, match="run `diffusion-link embed` again"):
        EmbeddingSet.load(data_work, "bridge")
    assert len(EmbeddingSet.load(data_work, "test").audio) == 2


def test_a_decoder_reads_the_captions_of_a_data_set_s_training_part(data_work: Path) -> None:
    embed(_RECIPE, data_work, "cpu", resume=False)
    assert load_decoder_texts(data_work).captions == EmbeddingSet.load(data_work, "bridge").captions
