"""AudioCaps: rows to clips, and audio by the names that downloaders give."""

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.training.audiocaps import AudioCapsRecipe, read_audiocaps
from models.training.datasets import BadClip, Clip

_HEADER = "audiocap_id,youtube_id,start_time,caption\n"


def _recipe(folder: Path, split: str, rows: str, *audio: str) -> AudioCapsRecipe:
    (folder / f"{split}.csv").write_text(_HEADER + rows, encoding="utf-8")
    for name in audio:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return AudioCapsRecipe(kind="audiocaps", folder=folder)


def test_a_caption_in_train_is_a_clip(tmp_path: Path) -> None:
    rows = '91139,r1nicOVtvkQ,130,A woman talks\n58146,-DGBjjwyaqE,20,"Clanging, clanking"\n3,gone_gone_g,0,rain\n'
    recipe = _recipe(tmp_path, "train", rows, "train/r1nicOVtvkQ_130.flac", "train/-DGBjjwyaqE_20.wav")
    assert list(read_audiocaps(recipe, "bridge")) == [
        Clip("r1nicOVtvkQ_130", tmp_path / "train" / "r1nicOVtvkQ_130.flac", ("A woman talks",)),
        Clip("-DGBjjwyaqE_20", tmp_path / "train" / "-DGBjjwyaqE_20.wav", ("Clanging, clanking",)),
        BadClip("gone_gone_g_0", "there is no audio file of it"),
    ]


def test_the_captions_of_a_clip_are_gathered_wherever_they_stand(tmp_path: Path) -> None:
    rows = "".join(f"{2 * n},aaaaaaaaaaa,30,first {n}\n{2 * n + 1},bbbbbbbbbbb,0,second {n}\n" for n in range(5))
    recipe = _recipe(tmp_path, "val", rows, "val/aaaaaaaaaaa_30.wav", "val/bbbbbbbbbbb_0.wav")
    first, second = read_audiocaps(recipe, "validation")
    assert isinstance(first, Clip)
    assert isinstance(second, Clip)
    assert first.captions == tuple(f"first {n}" for n in range(5))
    assert second.captions == tuple(f"second {n}" for n in range(5))


@pytest.mark.parametrize("folder", ["test", "audio", "audio/test", "audio_32000Hz/test"])
@pytest.mark.parametrize(
    "name",
    ["r1nicOVtvkQ_130.wav", "r1nicOVtvkQ_130_140.ogg", "r1nicOVtvkQ_000130.mp3", "r1nicOVtvkQ_130000.wav",
     "r1nicOVtvkQ_130000_140000.flac", "r1nicOVtvkQ.wav", "Yr1nicOVtvkQ.wav", "103546.mp3"],
)  # fmt: skip
def test_audio_is_found_by_the_names_of_downloaders(tmp_path: Path, folder: str, name: str) -> None:
    rows = "103545,r1nicOVtvkQ,130,a\n103546,r1nicOVtvkQ,130.0,b\n"
    (clip,) = read_audiocaps(_recipe(tmp_path, "test", rows, f"{folder}/{name}"), "test")
    assert clip == Clip("r1nicOVtvkQ_130", tmp_path / folder / name, ("a", "b"))


def test_a_split_does_not_take_another_one_s_audio(tmp_path: Path) -> None:
    (clip,) = read_audiocaps(_recipe(tmp_path, "test", "1,r1nicOVtvkQ,130,a\n", "train/r1nicOVtvkQ_130.wav"), "test")
    assert isinstance(clip, BadClip)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("1,../../etc/x,0,a\n", "line 2: '../../etc/x' is not the id of a video"),
        ("1,,0,a\n", "line 2: '' is not the id"),
        ("1,aaaaaaaaaaa,nan,a\n", "line 2: a start_time of 'nan'"),
        ("1,aaaaaaaaaaa,-1,a\n", "line 2: a start_time of '-1'"),
        ("1,aaaaaaaaaaa,1.5,a\n", "line 2: a start_time of '1.5'"),
        ("1,aaaaaaaaaaa,1,a\n1,bbbbbbbbbbb,1,a\n", "line 3: '1' comes for the second time"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=rf"train\.csv, {fault}"):
        list(read_audiocaps(_recipe(tmp_path, "train", rows), "bridge"))


def test_a_clip_without_words_is_bad(tmp_path: Path) -> None:
    rows = "1,aaaaaaaaaaa,0, \n2,bbbbbbbbbbb,0,a\n3,bbbbbbbbbbb,0,\n"
    blank, half = read_audiocaps(_recipe(tmp_path, "test", rows, "test/aaaaaaaaaaa.wav", "test/bbbbbbbbbbb.wav"), "test")
    assert blank == BadClip("aaaaaaaaaaa_0", "it has no caption")
    assert half == Clip("bbbbbbbbbbb_0", tmp_path / "test" / "bbbbbbbbbbb.wav", ("a",))
