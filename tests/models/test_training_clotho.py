"""Clotho: five captions a file, as the archives unpack."""

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.training.clotho import ClothoRecipe, read_clotho
from models.training.datasets import BadClip, Clip

_HEADER = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
_ROWS = '"Rain (on), roof.wav","Rain falls, hard",b,c,d,e\ngone.wav,a,b,c,d,e\nodd.name.wav,a,,c,d,e\n'


@pytest.mark.parametrize(("tables", "audio"), [(".", "."), ("clotho_csv_files", "clotho_audio_files")])
@pytest.mark.parametrize(
    ("part", "split"), [("bridge", "development"), ("validation", "validation"), ("test", "evaluation")]
)
def test_each_part_is_read_from_its_split(tmp_path: Path, tables: str, audio: str, part: str, split: str) -> None:
    (tmp_path / tables).mkdir(exist_ok=True)
    (tmp_path / tables / f"clotho_captions_{split}.csv").write_text(_HEADER + _ROWS, encoding="utf-8")
    folder = tmp_path / audio / split
    folder.mkdir(parents=True)
    for name in ("Rain (on), roof.wav", "odd.name.flac"):
        (folder / name).touch()
    assert list(read_clotho(ClothoRecipe(kind="clotho", folder=tmp_path), part)) == [  # type: ignore[arg-type]
        Clip("Rain (on), roof.wav", folder / "Rain (on), roof.wav", ("Rain falls, hard", "b", "c", "d", "e")),
        BadClip("gone.wav", "there is no audio file of it"),
        Clip("odd.name.wav", folder / "odd.name.flac", ("a", "c", "d", "e")),
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("file_name,caption_1\na.wav,b\n", "lacks the columns caption_2, caption_3, caption_4, caption_5"),
        (_HEADER + "../a.wav,a,b,c,d,e\n", "line 2: '../a.wav' is not the name of a file"),
        (_HEADER + "a.wav,a,b,c,d,e\na.wav,a,b,c,d,e\n", "line 3: 'a.wav' comes for the second time"),
        (_HEADER + "a.wav,a,b,c,d\n", "line 2: too few"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "clotho_captions_evaluation.csv").write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=f"clotho_captions_evaluation.csv.*{fault}"):
        list(read_clotho(ClothoRecipe(kind="clotho", folder=tmp_path), "test"))
