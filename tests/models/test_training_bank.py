"""The tables, and which part learns from which recording."""

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.training.bank import Recording, divide, read_recordings, read_sounds

_SOUNDS = "sound,kind,phrases\ndog,animal,a dog barks; a dog is barking;\nrain,nature,it rains\n"


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _recordings(sound: str, package: str, count: int, split: str = "train") -> list[Recording]:
    return [
        Recording.model_validate({"sound": sound, "split": split, "package": package, "path": f"{package}{i}.wav"})
        for i in range(count)
    ]


def _parts(recordings: list[Recording], seed: int = 0) -> dict[str, list[Recording]]:
    parts: dict[str, list[Recording]] = {}
    for recording, part in divide(recordings, seed):
        parts.setdefault(part, []).append(recording)
    return parts


def test_phrases_are_split_and_stripped(tmp_path: Path) -> None:
    dog, rain = read_sounds(_written(tmp_path / "sounds.csv", _SOUNDS))
    assert dog.phrases == ("a dog barks", "a dog is barking")
    assert (rain.name, rain.kind) == ("rain", "nature")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sound,phrases\ndog,a dog\n", "columns"),
        (_SOUNDS + "dog,animal,woof\n", "twice"),
        (_SOUNDS + "cat,animal, ; \n", "phrases"),
        (_SOUNDS + "cat,animal\n", "too few or too many"),
        (_SOUNDS + "cat,animal,a,b\n", "too few or too many"),
        ("", "columns"),
    ],
)
def test_a_wrong_table_of_sounds_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        read_sounds(_written(tmp_path / "sounds.csv", text))


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_sounds(tmp_path / "sounds.csv")


@pytest.mark.parametrize(
    ("row", "reason"), [("cow,train,p,x.wav", "cow"), ("dog,tune,p,x.wav", "split"), ("dog,test,,x", "package")]
)
def test_a_wrong_table_of_recordings_is_refused(tmp_path: Path, row: str, reason: str) -> None:
    sounds = read_sounds(_written(tmp_path / "sounds.csv", _SOUNDS))
    with pytest.raises(RecipeError, match=reason):
        read_recordings(_written(tmp_path / "r.csv", f"sound,split,package,path\n{row}\n"), sounds)


def test_what_can_be_made_any_number_of_times_is_generated() -> None:
    def made(package: str, path: str) -> bool:
        return Recording(sound="a", split="train", package=package, path=path).generated

    assert made("synth", "rain")
    assert made("some-soundfont", "program:3")
    assert not made("scratch", "Dog.wav")


def test_a_sound_of_three_packages_is_divided_by_package() -> None:
    recordings = _recordings("dog", "a", 1) + _recordings("dog", "b", 5) + _recordings("dog", "c", 2)
    packages = {part: {r.package for r in members} for part, members in _parts(recordings).items()}
    assert packages == {"encoder": {"b"}, "bridge": {"c"}, "validation": {"a"}}


def test_a_sound_of_two_packages_shares_none_with_the_encoder() -> None:
    parts = _parts(_recordings("dog", "a", 3) + _recordings("dog", "b", 5))
    assert {r.package for r in parts["encoder"]} == {"b"}
    assert {r.package for r in parts["bridge"] + parts["validation"]} == {"a"}


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (5, (3, 1, 1)), (20, (12, 5, 3))])
def test_a_sound_of_one_package_is_divided_by_recording(count: int, sizes: tuple[int, int, int]) -> None:
    parts = _parts(_recordings("dog", "a", count))
    assert tuple(len(parts.get(part, [])) for part in ("encoder", "bridge", "validation")) == sizes
    assert len({r.path for members in parts.values() for r in members}) == count


def test_test_recordings_stay_test_recordings() -> None:
    parts = _parts(_recordings("dog", "a", 9) + _recordings("dog", "t", 4, "test"))
    assert {r.package for r in parts["test"]} == {"t"}
    assert all(r.split == "train" for part, members in parts.items() if part != "test" for r in members)


def test_the_division_follows_from_the_seed_and_not_from_other_sounds() -> None:
    dogs, cats = _recordings("dog", "a", 12), _recordings("cat", "a", 12)
    assert _parts(dogs, 1) == _parts(dogs, 1)
    assert _parts(dogs, 1) != _parts(dogs, 2)
    assert [r for r in _parts(cats + dogs, 1)["bridge"] if r.sound == "dog"] == _parts(dogs, 1)["bridge"]
