"""Listed clips: what was listed is what is read, and a change is noticed."""

import json
from pathlib import Path

import pytest

from models.errors import RecipeError, TrainingError
from models.training.datasets import (
    BadClip,
    Clip,
    check_bad_share,
    check_unchanged,
    count_bad,
    is_listed,
    listed_fingerprint,
    read_listed,
    write_listed,
)


def _clips(folder: Path) -> list[Clip]:
    folder.mkdir(exist_ok=True)
    clips = [Clip("a", folder / "a.wav", ("rain", "regen ☔")), Clip("b", folder / "b.flac", ("a dog",))]
    for size, clip in enumerate(clips, start=3):
        clip.audio.write_bytes(b"x" * size)
    return clips


def test_what_was_listed_is_read(tmp_path: Path) -> None:
    clips = _clips(tmp_path / "audio")
    assert not is_listed(tmp_path)
    write_listed(tmp_path / "bridge", iter(clips), iter([BadClip("c", "gone")]))
    assert is_listed(tmp_path)
    assert read_listed(tmp_path, "bridge") == clips
    assert count_bad(tmp_path, "bridge") == 1
    row = json.loads((tmp_path / "bridge" / "clips.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row == {"id": "a", "audio": str(clips[0].audio), "captions": ["rain", "regen ☔"], "bytes": 3}
    check_unchanged(tmp_path, "bridge")


def test_a_file_of_another_size_or_none_is_noticed(tmp_path: Path) -> None:
    clips = _clips(tmp_path / "audio")
    write_listed(tmp_path / "test", clips, [])
    clips[1].audio.write_bytes(b"xx")
    with pytest.raises(TrainingError, match=r"b\.flac is not what was listed"):
        check_unchanged(tmp_path, "test")
    clips[0].audio.unlink()
    with pytest.raises(TrainingError, match=r"a\.wav is not what was listed"):
        check_unchanged(tmp_path, "test")


def test_the_fingerprint_is_of_content_and_not_of_the_place(tmp_path: Path) -> None:
    def fingerprint(name: str, clips: list[Clip]) -> str:
        write_listed(tmp_path / name / "test", clips, [])
        return listed_fingerprint(tmp_path / name, "test")

    here, there = _clips(tmp_path / "here"), _clips(tmp_path / "there")
    first = fingerprint("a", here)
    assert fingerprint("b", there) == first
    assert fingerprint("c", here[:1]) != first
    assert fingerprint("d", [here[0], Clip("b", here[1].audio, ("a cat",))]) != first
    there[0].audio.write_bytes(b"longer than it was")
    assert fingerprint("e", there) != first


@pytest.mark.parametrize("text", ["", "{", "[1]\n", '{"id": "a"}\n', "\udcff"])
def test_a_damaged_list_is_refused(tmp_path: Path, text: str) -> None:
    write_listed(tmp_path / "test", _clips(tmp_path / "audio"), [])
    (tmp_path / "test" / "clips.jsonl").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(TrainingError, match="corpus"):
        read_listed(tmp_path, "test")


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"clips\.jsonl is missing: run `diffusion-link corpus`"):
        read_listed(tmp_path, "test")


def test_up_to_the_bound_clips_may_be_bad() -> None:
    bad = [BadClip(f"clip-{number}", "gone") for number in range(12)]
    check_bad_share("test", bad, 3, 150, 0.1)
    with pytest.raises(RecipeError, match=r"test: 16 of 150 clips .* 0\.1: clip-0: gone; .*clip-9: gone$"):
        check_bad_share("test", bad, 4, 150, 0.1)
    with pytest.raises(RecipeError, match=r"test: 2 of 9 clips .* 0\.1: bad\.jsonl of corpus/ names them$"):
        check_bad_share("test", [], 2, 9, 0.1)
    check_bad_share("test", [], 0, 0, 0.0)
