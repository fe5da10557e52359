"""embed: the encoder's embeddings, in place, once; and never those of another encoder."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from models.clap.encoder import ClapEncoder
from models.clap.store import save_clap
from models.errors import DeviceError, TrainingError
from models.training.embed import EmbeddingSet, EmbedRecipe, embed, load_decoder_texts
from tests.models.training_work import log_lines, write_clap, write_corpus

_RECIPE = EmbedRecipe(batch_size=5, text_batch_size=7)


@pytest.fixture
def work(tmp_path: Path, tiny_clap: ClapEncoder) -> Path:
    write_corpus(tmp_path)
    write_clap(tmp_path, tiny_clap)
    return tmp_path


def test_embeddings_are_the_encoders_own(work: Path, tiny_clap: ClapEncoder) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    pairs = EmbeddingSet.load(work, "bridge")
    log_mel = np.load(work / "corpus" / "bridge" / "log_mel.npy").astype(np.float32)
    torch.testing.assert_close(pairs.audio[[0, 7, 23]], tiny_clap.embed_log_mel(torch.from_numpy(log_mel[[0, 7, 23]])))
    torch.testing.assert_close(pairs.text, tiny_clap.embed_texts(pairs.captions))
    assert pairs.dim == tiny_clap.dim


def test_captions_belong_to_their_scenes(work: Path) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    pairs = EmbeddingSet.load(work, "bridge")
    lines = (work / "corpus" / "bridge" / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    captions = [json.loads(line)["captions"] for line in lines]
    assert len(pairs.text) == len(pairs.captions) == sum(map(len, captions))
    generator = torch.Generator().manual_seed(0)
    drawn: dict[int, set[str]] = {1: set(), 2: set()}
    for _ in range(30):
        for scene, row in zip(drawn, pairs.draw_captions(torch.tensor([1, 2]), generator).tolist(), strict=True):
            drawn[scene].add(pairs.captions[row])
    assert drawn == {1: set(captions[1]), 2: set(captions[2])}
    first = pairs.first(3)
    assert first.captions == [texts[0] for texts in captions[:3]]
    assert torch.equal(first.text[2], pairs.text[pairs.offsets[2]])
    assert len(first.audio) == 3


def test_the_splits_of_the_recipe_and_no_others(work: Path) -> None:
    embed(EmbedRecipe(splits=("encoder", "test")), work, "cpu", resume=False)
    assert sorted(path.name for path in (work / "embeddings").glob("*.safetensors*")) == [
        "encoder.safetensors",
        "test.safetensors",
    ]
    assert [line["split"] for line in log_lines(work / "embeddings")] == ["encoder", "test"]


def test_resumed_it_does_only_what_is_left(work: Path) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    directory = work / "embeddings"
    whole = {path.name: path.read_bytes() for path in directory.glob("*.safetensors")}
    (directory / "test.safetensors").write_bytes(whole["test.safetensors"][:100])
    (directory / "validation.safetensors").unlink()
    embed(_RECIPE, work, "cpu", resume=True)
    assert {path.name: path.read_bytes() for path in directory.glob("*.safetensors")} == whole
    assert [line["split"] for line in log_lines(directory)] == [*EmbedRecipe().splits, "validation", "test"]


def test_embeddings_of_another_encoder_are_refused_and_made_again(work: Path, tiny_clap: ClapEncoder) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    save_clap(tiny_clap, work / "clap" / "model", torch.float16)
    with pytest.raises(TrainingError, match="run `diffusion-link embed` again"):
        EmbeddingSet.load(work, "bridge")
    embed(_RECIPE, work, "cpu", resume=True)
    assert len(EmbeddingSet.load(work, "bridge").audio) == 24


@pytest.mark.parametrize(("missing", "command"), [("corpus", "corpus"), ("clap/model", "train-clap")])
def test_a_missing_stage_is_named(work: Path, missing: str, command: str) -> None:
    (work / missing).rename(work / "away")
    with pytest.raises(TrainingError, match=f"run `diffusion-link {command}`"):
        embed(_RECIPE, work, "cpu", resume=False)


def test_missing_embeddings_are_named(work: Path) -> None:
    with pytest.raises(TrainingError, match="run `diffusion-link embed`"):
        EmbeddingSet.load(work, "bridge")


def test_a_missing_split_is_named(work: Path) -> None:
    (work / "corpus" / "bridge" / "scenes.jsonl").unlink()
    with pytest.raises(TrainingError, match="bridge holds no scenes"):
        embed(_RECIPE, work, "cpu", resume=False)


def test_a_scene_without_captions_is_refused(work: Path) -> None:
    path = work / "corpus" / "test" / "scenes.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records[3]["captions"] = []
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    with pytest.raises(TrainingError, match="without a caption"):
        embed(_RECIPE, work, "cpu", resume=False)


@pytest.mark.parametrize(("share", "count"), [(0.25, 6), (0.3, 7), (0.01, 2), (1.0, 24)])
def test_a_part_is_the_first_scenes_with_all_their_captions(work: Path, share: float, count: int) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    pairs = EmbeddingSet.load(work, "bridge")
    part = pairs.part(share)
    lines = (work / "corpus" / "bridge" / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    captions = [json.loads(line)["captions"] for line in lines[:count]]
    assert torch.equal(part.audio, pairs.audio[:count])
    assert [part.captions[first:after] for first, after in pairwise(part.offsets.tolist())] == captions
    assert len(part.captions) == len(part.text) == part.offsets[-1]
    assert torch.equal(part.text, pairs.text[: len(part.text)])
    assert part.source == pairs.source


def test_a_part_of_less_than_two_scenes_is_what_there_is(work: Path) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    pairs = EmbeddingSet.load(work, "test")
    assert len(pairs.first(1).part(0.5).audio) == 1
    assert pairs.first(1).part(0.5).captions == pairs.captions[:1]


def test_an_unknown_precision_is_refused(work: Path) -> None:
    with pytest.raises(DeviceError, match="fp8"):
        embed(_RECIPE, work, "cpu", resume=False, precision="fp8")


def test_a_decoder_reads_the_captions_of_the_encoder_s_own_scenes(work: Path) -> None:
    embed(_RECIPE, work, "cpu", resume=False)
    assert load_decoder_texts(work).captions == EmbeddingSet.load(work, "encoder").captions
