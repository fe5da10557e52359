"""`diffusion-link caption`: tables, JSON lines, files that cannot be read, and the captions that HTTP gives."""

import json
import os
from pathlib import Path

import pytest

from app import command_caption, local_files
from app.command_caption import caption
from app.schemas import CaptionOptions
from app.settings import ServiceSettings
from models.pipeline import Pipeline
from tests.app.bad_files import BAD_FILES
from tests.app.conftest import Start
from tests.app.fakes import FakePipeline, sound


@pytest.fixture(autouse=True)
def _fake(pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "load", pipeline.load)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{index}.wav" for index in range(3)]
    for index, path in enumerate(paths):
        path.write_bytes(sound(12.0 * index + 1, 8_000, seed=index))
    return [str(path) for path in paths]


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_object_a_file(files: list[str], capsys: pytest.CaptureFixture[str], pipeline: FakePipeline) -> None:
    assert caption(files, CaptionOptions(), ServiceSettings(device="cpu"), as_json=True) == 0
    lines = _lines(capsys)
    assert [line.keys() for line in lines] == [{"file", "duration_s", "caption", "score"}] * 3
    assert [(line["file"], line["duration_s"]) for line in lines] == list(zip(files, (1, 13, 25), strict=True))
    assert pipeline.loaded[1] == "cpu"


def test_candidates_and_timeline(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = CaptionOptions(candidates=2, timeline=True)
    assert caption(files[2:], options, ServiceSettings(), as_json=True) == 0
    (line,) = _lines(capsys)
    assert [len(line[name]) for name in ("candidates", "timeline")] == [2, 3]  # type: ignore[arg-type]
    assert caption(files[2:], options, ServiceSettings(), as_json=False) == 0
    rows = capsys.readouterr().out.splitlines()
    assert sum("sound" in row for row in rows) == 5
    assert any("20-25.0 s" in row and "0.90" in row for row in rows)


def test_a_table(files: list[str], capsys: pytest.CaptureFixture[str], pipeline: FakePipeline) -> None:
    assert caption(files, CaptionOptions(), ServiceSettings(), as_json=False) == 0
    out = capsys.readouterr().out
    for text in (*files, "13.0 s", "0.90", "Caption"):
        assert text in out


def test_bad_files_harm_no_neighbour(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = []
    for name, (data, _) in BAD_FILES.items():
        (tmp_path / name).write_bytes(data)
        names.append(str(tmp_path / name))
    paths = [files[0], *names, str(tmp_path / "none.wav"), str(tmp_path), files[1]]
    assert caption(paths, CaptionOptions(), ServiceSettings(), as_json=True) == 1
    first, *failed, last = _lines(capsys)
    assert "error" not in first
    assert "error" not in last
    assert all(line.keys() == {"file", "error"} for line in failed)
    types = [line["error"]["type"] for line in failed]  # type: ignore[index]
    assert types == [kind for _, kind in BAD_FILES.values()] + ["unreadable_file", "unreadable_audio"]
    assert failed[-2]["error"]["message"] == "No such file or directory"  # type: ignore[index]
    assert caption(paths, CaptionOptions(), ServiceSettings(), as_json=False) == 1
    assert "the file is empty" in capsys.readouterr().out


def test_a_file_that_is_too_large(
    files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_files, "_MAX_FILE_BYTES", 20_000)
    assert caption(files[:2], CaptionOptions(), ServiceSettings(), as_json=True) == 1
    fine, large = _lines(capsys)
    assert "caption" in fine
    assert large["error"] == {"type": "audio_too_long", "message": "the file has 208044 bytes; the most is 20000"}


def test_more_files_than_go_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(sound(0.1))
    assert caption([str(path)] * 40, CaptionOptions(), ServiceSettings(), as_json=True) == 0
    assert len({line["caption"] for line in _lines(capsys)}) == 1


def test_a_name_that_is_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff[red].wav")
    Path(name).write_bytes(sound(0.1))
    assert caption([name], CaptionOptions(), ServiceSettings(), as_json=True) == 0
    assert _lines(capsys)[0]["file"] == name
    assert caption([name], CaptionOptions(), ServiceSettings(), as_json=False) == 0
    assert "\ufffd[red].wav" in capsys.readouterr().out


def test_a_fault_of_the_program_is_an_error_of_its_file(
    files: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail_on_the_first(path: Path) -> bytes:
        if str(path) == files[0]:
            raise ZeroDivisionError
        return path.read_bytes()

    monkeypatch.setattr(local_files, "_read", fail_on_the_first)
    assert caption(files, CaptionOptions(), ServiceSettings(), as_json=True) == local_files.FAILED_STATUS
    failed, *others = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert failed["error"]["type"] == "internal_error"
    assert [line["file"] for line in others if line["caption"]] == files[1:]
    assert "ZeroDivisionError" in caplog.text


def test_a_small_queue_is_not_overrun(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = ServiceSettings(queue_capacity=1, max_files=1)
    assert caption(files * 3, CaptionOptions(timeline=True, candidates=8), settings, as_json=True) == 0
    assert len(_lines(capsys)) == 9


@pytest.mark.anyio
@pytest.mark.parametrize("options", [CaptionOptions(), CaptionOptions(candidates=3, timeline=True, seed=9, bridge=False)])
async def test_http_gives_the_same(files: list[str], options: CaptionOptions, start: Start, pipeline: FakePipeline) -> None:
    outcomes = [outcome async for outcome in command_caption.caption_files(pipeline, files, options, ServiceSettings())]
    async with start() as running:
        parts = [("file", Path(path).read_bytes()) for path in files]
        query = options.model_dump(mode="json")
        results = (await running.http.post("/caption", params=query, files=parts)).json()["results"]
    expected = [outcome.model_dump(exclude_unset=True) for outcome in outcomes]
    assert [{**result, "filename": None} for result in results] == expected
