"""Tables and files as people have them, and what is refused."""

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.training.clip_sources import AudioFiles, make_clip, parse_json, plain_name, read_table, unique
from models.training.datasets import BadClip, Clip


def test_the_first_folder_and_the_best_format_win(tmp_path: Path) -> None:
    for name in ("one/a.mp3", "one/a.WAV", "one/b.ogg", "two/b.wav", "two/c.d.flac", "two/e.txt", "two/f.wav/g.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    files = AudioFiles([tmp_path / "none", tmp_path / "one", tmp_path / "two"])
    assert files.find(["a"]) == tmp_path / "one" / "a.WAV"
    assert files.find(["x", "b", "a"]) == tmp_path / "one" / "b.ogg"
    assert files.find(["c.d"]) == tmp_path / "two" / "c.d.flac"
    assert files.find(["e", "f", "g", "two/c.d"]) is None


def test_clips_are_put_together_with_clean_captions(tmp_path: Path) -> None:
    audio = tmp_path / "a.wav"
    assert make_clip("a", audio, [" a\r\n dog ", " ", "\ud800rain"]) == Clip("a", audio, ("a dog", "rain"))
    assert make_clip("a", None, ["a dog"]) == BadClip("a", "there is no audio file of it")
    assert make_clip("a", audio, ["", "\t"]) == BadClip("a", "it has no caption")


def test_tables_come_with_marks_line_ends_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffname,more,text\r\n"a, b",1,"he said ""ho""\nand left"\r\nc,2,é\r\n'.encode())
    rows = [(where.rsplit(" ", 1)[1], row["name"], row["text"]) for where, row in read_table(path, ("name", "text"))]
    assert rows == [("3", "a, b", 'he said "ho"\nand left'), ("4", "c", "é")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"name,words\na,b\n", "lacks the columns text"),
        (b"", "lacks the columns name, text"),
        (b"name,text\na\n", "line 2: too few or too many"),
        (b"name,text\na,b\na,b,c\n", "line 3: too few or too many"),
        (b"name,text\n\xff,b\n", "is not a table in UTF-8"),
        (b'name,text\na,"b\n', "is not a table in UTF-8"),
        (b"name,text\na," + b"b" * 200_000 + b"\n", "is not a table in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"a\.csv.*{fault}"):
        list(read_table(path, ("name", "text")))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"a\.csv cannot be read: No such file"):
        list(read_table(tmp_path / "a.csv", ()))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="here is not JSON"):
        parse_json(text, "here")
    assert parse_json("[1]", "here") == [1]


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", "a\\b", "a\0b", "a\nb", None, 3])
def test_names_that_lead_elsewhere_are_refused(name: object) -> None:
    with pytest.raises(RecipeError, match=r"here: .* is not the name of a file"):
        plain_name(name, "here")


def test_names_of_files_may_hold_what_they_like() -> None:
    for name in ("Rain (on a roof), 2.wav", "-a=b", "žába.wav", "..a", "raindrops on metal: police.wav"):
        assert plain_name(name, "here") == name


def test_what_comes_twice_is_refused() -> None:
    seen: set[str] = set()
    assert unique("a", seen, "here") == "a"
    with pytest.raises(RecipeError, match="there: 'a' comes for the second time"):
        unique("a", seen, "there")
