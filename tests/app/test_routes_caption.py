"""POST /caption: forms, raw bodies, options, bad files, bad requests."""

from pathlib import Path

import pytest

from tests.app.bad_files import BAD_FILES
from tests.app.conftest import Running, Start
from tests.app.fakes import POISON_SEED, error_of, sound

pytestmark = pytest.mark.anyio


async def test_a_form(running: Running, wav: bytes) -> None:
    response = await running.http.post("/caption", files={"file": ("dog.wav", wav)})
    assert response.status_code == 200
    body = response.json()
    assert body["model"] == "fake"
    (result,) = body["results"]
    assert list(result) == ["filename", "duration_s", "caption", "score"]
    assert (result["filename"], result["duration_s"], result["score"]) == ("dog.wav", 1.0, 0.9)
    assert result["caption"].endswith("(0, 32, 0)")
    for name in ("x-queue-ms", "x-embed-ms", "x-write-ms", "x-total-ms"):
        assert float(response.headers[name]) >= 0


@pytest.mark.parametrize("content_type", ["audio/wav", "Audio/X-WAV; codecs=1"])
async def test_a_raw_body_is_the_same(running: Running, wav: bytes, content_type: str) -> None:
    raw = await running.http.post("/caption", content=wav, headers={"content-type": content_type})
    form = await running.http.post("/caption", files={"file": ("dog.wav", wav)})
    (result,) = raw.json()["results"]
    assert result["filename"] is None
    assert {**result, "filename": "dog.wav"} == form.json()["results"][0]


@pytest.mark.parametrize("file_format", ["FLAC", "OGG", "MP3"])
async def test_other_formats(running: Running, file_format: str) -> None:
    response = await running.http.post("/caption", files={"file": sound(1.0, format=file_format)})
    assert response.json()["results"][0]["duration_s"] == pytest.approx(1, abs=0.1)


async def test_candidates_and_timeline(running: Running, long_wav: bytes) -> None:
    query = {"candidates": 3, "timeline": "true", "max_new_tokens": 9, "seed": 5}
    (result,) = (await running.http.post("/caption", params=query, files={"file": long_wav})).json()["results"]
    assert result["duration_s"] == 35
    assert [candidate["score"] for candidate in result["candidates"]] == [0.9, 0.8, 0.7]
    assert result["candidates"][0] == {"caption": result["caption"], "score": result["score"]}
    spans = [(entry["start_s"], entry["end_s"]) for entry in result["timeline"]]
    assert spans == [(0, 10), (10, 20), (20, 30), (30, 35)]
    assert all("(5, 9, 0)" in entry["caption"] for entry in result["timeline"])
    assert len({entry["caption"] for entry in result["timeline"]}) > 1
    assert running.pipeline.written == [(5, 3, 9)]
    assert sum(running.pipeline.embedded) == 4


async def test_one_window_has_the_caption_of_its_clip(running: Running, wav: bytes) -> None:
    (result,) = (await running.http.post("/caption?timeline=1", files={"file": wav})).json()["results"]
    assert result["timeline"] == [{"start_s": 0, "end_s": 1, "caption": result["caption"], "score": result["score"]}]


async def test_without_the_bridge(running: Running, wav: bytes) -> None:
    captions = [
        (await running.http.post("/caption", params=query, files={"file": wav})).json()["results"][0]["caption"]
        for query in ({}, {"bridge": "false"}, {"seed": 1}, {"bridge": "true"})
    ]
    assert captions[0] == captions[3]
    assert len(set(captions)) == 3


async def test_results_are_in_the_order_of_the_files(running: Running) -> None:
    parts = [("file", (f"{index}.wav", sound(0.2 * index + 0.1))) for index in range(6)]
    results = (await running.http.post("/caption", files=parts)).json()["results"]
    assert [result["filename"] for result in results] == [f"{index}.wav" for index in range(6)]
    assert [result["duration_s"] for result in results] == [0.1, 0.3, 0.5, 0.7, 0.9, 1.1]


async def test_alone_and_in_company(running: Running, wav: bytes) -> None:
    alone = (await running.http.post("/caption", files={"file": ("a", wav)})).json()["results"][0]
    parts = [("file", ("a", wav))] + [("file", ("b", sound(0.3, seed=seed))) for seed in range(9)]
    assert (await running.http.post("/caption", files=parts)).json()["results"][0] == alone


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_alone(running: Running, name: str) -> None:
    data, error_type = BAD_FILES[name]
    for path in ("/caption", "/bridge"):
        form = await running.http.post(path, files={"file": (name, data)})
        raw = await running.http.post(path, content=data, headers={"content-type": "audio/wav"})
        assert (form.status_code, raw.status_code) == (422, 422)
        assert error_of(form)["type"] == error_of(raw)["type"] == error_type
        assert error_of(form)["message"] == f"{name}: {error_of(raw)['message']}"


@pytest.mark.parametrize("path", ["/caption", "/bridge"])
async def test_bad_files_harm_no_neighbour(running: Running, wav: bytes, path: str) -> None:
    bad = [("file", (name, data)) for name, (data, _) in BAD_FILES.items()]
    response = await running.http.post(path, files=[("file", ("good.wav", wav)), *bad, ("file", ("too.wav", wav))])
    assert response.status_code == 200
    first, *failed, last = response.json()["results"]
    assert "error" not in first
    assert {**first, "filename": "too.wav"} == last
    assert {result["filename"]: result["error"]["type"] for result in failed} == {
        name: error_type for name, (_, error_type) in BAD_FILES.items()
    }
    assert all(result.keys() == {"filename", "error"} and result["error"]["message"] for result in failed)


async def test_several_bad_files_are_an_error_that_names_them_all(running: Running) -> None:
    parts = [("file", ("a.wav", b"")), ("file", ("b.wav", b"text"))]
    response = await running.http.post("/caption", files=parts)
    assert response.status_code == 422
    error = error_of(response)
    assert error["type"] == "empty_audio"
    assert error["message"] == "a.wav: the file is empty; b.wav: not a WAV, FLAC, OGG or MP3 file"


@pytest.mark.parametrize("part", ["audio", "files", "FILE", ""])
async def test_a_wrong_field_name(running: Running, wav: bytes, part: str) -> None:
    response = await running.http.post("/caption", files=[(part, ("x.wav", wav))])
    assert response.status_code == 422
    assert error_of(response)["type"] == "invalid_field"
    assert error_of(response)["message"] == f"x.wav: the part {part!r} of the form is not called 'file'"
    assert running.pipeline.embedded == []


async def test_a_wrong_field_name_leaves_the_other_files_alone(running: Running, wav: bytes) -> None:
    parts = [("audio", ("x.wav", wav)), ("file", ("y.wav", wav)), ("file", (None, "text"))]
    wrong, right, text = (await running.http.post("/caption", files=parts)).json()["results"]
    assert (wrong["filename"], wrong["error"]["type"]) == ("x.wav", "invalid_field")
    assert (right["filename"], right["score"]) == ("y.wav", 0.9)
    assert (text["filename"], text["error"]["type"]) == (None, "invalid_field")


async def test_a_text_field(running: Running) -> None:
    response = await running.http.post("/caption", files={"file": (None, "dog.wav")})
    assert (response.status_code, error_of(response)["type"]) == (422, "invalid_field")
    assert "-F file=@NAME" in error_of(response)["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "audio", "", None])
async def test_a_wrong_content_type(running: Running, wav: bytes, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = await running.http.post("/caption", content=wav, headers=headers)
    assert (response.status_code, error_of(response)["type"]) == (415, "unsupported_media_type")
    assert (kind or "without a content type") in error_of(response)["message"]


@pytest.mark.parametrize(
    "query",
    [
        "candidates=0",
        "candidates=9",
        "max_new_tokens=65",
        "seed=-1",
        "seed=9223372036854775808",
        "timeline=maybe",
        "candidate=1",
    ],
)
@pytest.mark.parametrize("path", ["/caption", "/bridge"])
async def test_a_wrong_query(running: Running, wav: bytes, path: str, query: str) -> None:
    response = await running.http.post(f"{path}?{query}", files={"file": wav})
    assert (response.status_code, error_of(response)["type"]) == (422, "invalid_request")
    assert query.partition("=")[0] in error_of(response)["message"]


async def test_a_fault_of_the_service_tells_nothing(running: Running, wav: bytes, caplog: pytest.LogCaptureFixture) -> None:
    response = await running.http.post("/caption", params={"seed": POISON_SEED}, files={"file": wav})
    assert (response.status_code, error_of(response)["type"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert "secret of the device" in caplog.text
    assert (await running.http.post("/caption", files={"file": wav})).status_code == 200


async def test_nothing_is_left_in_the_temporary_folder(
    start: Start, wav: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with start() as running:
        large = sound(15.0)
        for name in ("../../evil.wav", "/etc/evil.wav"):
            response = await running.http.post("/caption", files={"file": (name, large)})
            assert response.json()["results"][0]["filename"] == name
        raw = await running.http.post("/caption", content=large, headers={"content-type": "audio/wav"})
        assert raw.status_code == 200
    assert list(tmp_path.iterdir()) == []
