"""corpus: the same bytes broken or unbroken and whatever the number of workers; bad recordings are named."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from models.errors import RecipeError
from models.training import corpus, takes
from models.training.bank import PARTS
from models.training.corpus import CorpusRecipe, make_corpus
from models.training.scenes import SceneSet

_NAMES = ("beep", "clock", "hum")


class _Interrupt(Exception):
    """Stands for a kill: nothing of the run comes after it."""


class _InThisProcess(Executor):
    """A pool without processes, which is killed when it has run `jobs` jobs."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(self, *arguments: Any, **settings: Any) -> "_InThisProcess":
        return self

    def submit(self, job: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        if self.jobs == 0:
            raise _Interrupt
        self.jobs -= 1
        future: Future[Any] = Future()
        future.set_result(job(*arguments, **named))
        return future


def _recipe(folder: Path, rows: str = "", **settings: Any) -> CorpusRecipe:
    folder.mkdir(exist_ok=True)
    (folder / "sounds.csv").write_text(
        "sound,kind,phrases\n" + "".join(f"{name},thing,a {name} sounds;the {name}\n" for name in _NAMES), encoding="utf-8"
    )
    generated = "".join(f"{name},{split},synth,{name}\n" for name in _NAMES for split in ("train", "test"))
    (folder / "recordings.csv").write_text(f"sound,split,package,path\n{generated}{rows}", encoding="utf-8")
    counts = {"encoder_scenes": 5, "bridge_scenes": 3, "validation_scenes": 2, "test_scenes": 2}
    return CorpusRecipe(
        sounds=folder / "sounds.csv", recordings=folder / "recordings.csv", folder=folder, **{**counts, **settings}
    )


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the next run use no processes, few takes, shards of two scenes, and so many of them."""
    monkeypatch.setattr(corpus, "_SHARD_SCENES", 2)
    monkeypatch.setattr(takes, "_GENERATED_TAKES", {"encoder": 2, "bridge": 1, "validation": 1, "test": 1})
    return lambda jobs: monkeypatch.setattr(corpus, "ProcessPoolExecutor", _InThisProcess(jobs))


def _files(output: Path) -> dict[str, bytes]:
    """All that later stages read, without the folder's own name."""
    files = {
        str(path.relative_to(output)): path.read_bytes().replace(str(output.resolve()).encode(), b"")
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }
    assert files
    return files


@pytest.mark.parametrize("stop_after", [0, 2, 4, 6])
def test_a_run_that_was_cut_off_ends_like_an_unbroken_one(
    tmp_path: Path, in_this_process: Callable[[int], None], stop_after: int
) -> None:
    recipe = _recipe(tmp_path / "tables")
    in_this_process(-1)
    make_corpus(recipe, tmp_path / "whole")
    in_this_process(stop_after)
    with pytest.raises(_Interrupt):
        make_corpus(recipe, tmp_path / "broken")
    in_this_process(-1)
    make_corpus(recipe, tmp_path / "broken")
    assert _files(tmp_path / "whole") == _files(tmp_path / "broken")


def test_processes_change_nothing(
    tmp_path: Path, in_this_process: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(tmp_path / "tables", encoder_scenes=4)
    in_this_process(-1)
    make_corpus(recipe, tmp_path / "here")
    monkeypatch.undo()
    monkeypatch.setattr(takes, "_GENERATED_TAKES", {"encoder": 2, "bridge": 1, "validation": 1, "test": 1})
    make_corpus(recipe, tmp_path / "workers")
    assert _files(tmp_path / "here") == _files(tmp_path / "workers")


def test_what_is_written_is_what_was_asked_for(tmp_path: Path, in_this_process: Callable[[int], None]) -> None:
    in_this_process(-1)
    recipe = _recipe(tmp_path / "tables")
    make_corpus(recipe, tmp_path / "corpus")
    captions = set()
    for part in PARTS:
        scenes = SceneSet.load(tmp_path / "corpus", part)
        assert len(scenes.records) == recipe.scenes_of(part)
        assert len({record.id for record in scenes.records}) == len(scenes.records)
        assert np.isfinite(scenes.log_mel).all()
        assert all(float(rows.max()) > -60 for rows in scenes.log_mel)
        assert all(set(record.sounds) <= set(_NAMES) and len(record.captions) == 4 for record in scenes.records)
        captions |= {caption for record in scenes.records for caption in record.captions}
    assert len(captions) > 5
    summary = json.loads((tmp_path / "corpus" / "summary.json").read_text(encoding="utf-8"))
    assert summary["scenes"] == {"encoder": 5, "bridge": 3, "validation": 2, "test": 2}
    assert summary["sounds_without_takes"]["bridge"] == []


def test_parts_share_no_take(tmp_path: Path, in_this_process: Callable[[int], None]) -> None:
    in_this_process(-1)
    make_corpus(_recipe(tmp_path / "tables"), tmp_path / "corpus")
    lines = (tmp_path / "corpus" / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
    copies = Counter(Path(json.loads(line)["take"]).read_bytes() for line in lines)
    assert set(copies.values()) == {1}
    assert {json.loads(line)["split"] for line in lines} == set(PARTS)


def test_unusable_recordings_are_named_and_too_many_are_an_error(
    tmp_path: Path, in_this_process: Callable[[int], None]
) -> None:
    in_this_process(-1)
    rows = "hum,train,package,gone.wav\nhum,train,package,silent.wav\n"
    (tmp_path / "tables" / "package").mkdir(parents=True)
    sf.write(tmp_path / "tables" / "package" / "silent.wav", np.zeros(9_000), 48_000)
    with pytest.raises(RecipeError, match=r"2 of 8 .*gone\.wav.*silent\.wav"):
        make_corpus(_recipe(tmp_path / "tables", rows), tmp_path / "strict")
    assert not (tmp_path / "strict" / "recordings.jsonl").exists()
    make_corpus(_recipe(tmp_path / "tables", rows, max_bad_share=0.5), tmp_path / "corpus")
    gone, silent = json.loads((tmp_path / "corpus" / "summary.json").read_text(encoding="utf-8"))["unusable"]
    assert "gone.wav" in gone
    assert "silent" in silent


def test_a_part_without_recordings_is_an_error(tmp_path: Path, in_this_process: Callable[[int], None]) -> None:
    in_this_process(-1)
    recipe = _recipe(tmp_path / "tables")
    recipe.recordings.write_text("sound,split,package,path\nhum,train,synth,hum\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="test part"):
        make_corpus(recipe, tmp_path / "corpus")


@pytest.mark.parametrize("setting", [{"encoder_scenes": 0}, {"workers": 0}, {"scenes": 5}, {"mix": {"single_share": 2}}])
def test_wrong_settings_are_refused(tmp_path: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        _recipe(tmp_path, **setting)
