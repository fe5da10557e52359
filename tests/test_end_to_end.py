"""What a user does: the real command, the embedded artifact, real sounds, over HTTP and without a server."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

_EXAMPLES = Path(__file__).parent.parent / "examples"
_COMMAND = [str(Path(sys.executable).parent / "diffusion-link")]
_FORMATS = ["snare_drum.wav", "piano.flac", "choir.mp3", "crow.ogg"]


class Server:
    """A `diffusion-link serve` process on a free port, with the embedded artifact."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [*_COMMAND, "serve", "--port", "0", "--device", "cpu"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        self.try_line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", self.ready_line)
        assert found, f"the server said {self.ready_line!r}"
        self.url = found[0]

    def stop(self) -> int:
        """Ask it to stop as an orchestrator does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def _post(client: httpx.Client, path: str, *names: str, **query: Any) -> Any:
    files = [("file", (name, (_EXAMPLES / name).read_bytes())) for name in names]
    response = client.post(path, files=files, params=query)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("name", _FORMATS)
def test_every_format_gets_a_caption(client: httpx.Client, name: str) -> None:
    (result,) = _post(client, "/caption", name)["results"]
    assert result["filename"] == name
    assert re.fullmatch(r"[a-z][a-z' ,-]+", result["caption"])
    assert -1 <= result["score"] <= 1


def test_a_raw_body_is_captioned_like_a_form(client: httpx.Client) -> None:
    content = (_EXAMPLES / "snare_drum.wav").read_bytes()
    raw = client.post("/caption", content=content, headers={"content-type": "audio/wav"}).json()
    (form,) = _post(client, "/caption", "snare_drum.wav")["results"]
    assert raw["results"][0]["caption"] == form["caption"]
    assert raw["results"][0]["filename"] is None


def test_a_long_file_has_a_timeline(client: httpx.Client) -> None:
    (result,) = _post(client, "/caption", "forty_seconds.mp3", timeline=True, candidates=3)["results"]
    assert [entry["start_s"] for entry in result["timeline"]] == [0, 10, 20, 30]
    assert result["duration_s"] == pytest.approx(40, abs=0.2)
    scores = [candidate["score"] for candidate in result["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert len({entry["caption"] for entry in result["timeline"]}) > 1


def test_texts_and_sounds_share_a_space(client: httpx.Client) -> None:
    sounds = _post(client, "/bridge", "snare_drum.wav", "piano.flac", raw=True)
    texts = client.post("/text", json={"texts": ["a crow caws", "a piano plays"]}).json()
    assert sounds["dim"] == texts["dim"]
    embeddings = np.array([result["embedding"] for result in sounds["results"] + texts["results"]])
    raw = np.array([result["raw"] for result in sounds["results"]])
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(embeddings[:2].mean(axis=0) - raw.mean(axis=0)) > 0.1


def _command_line_caption(*flags: str) -> Any:
    run = subprocess.run(
        [*_COMMAND, "caption", "--json", "--device", "cpu", *flags, str(_EXAMPLES / "snare_drum.wav")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(run.stdout)


def test_twenty_times_alone_and_in_company_it_is_one_caption(server: Server, client: httpx.Client) -> None:
    alone = [_post(client, "/caption", "snare_drum.wav")["results"][0]["caption"] for _ in range(5)]
    beside = [_post(client, "/caption", "snare_drum.wav", *_FORMATS[1:])["results"][0]["caption"] for _ in range(5)]
    crowd = asyncio.run(_at_once(server.url, ["snare_drum.wav", *_FORMATS] * 2))
    company = [caption for name, caption in crowd if name == "snare_drum.wav"]
    assert len(company) == 4
    captions = {*alone, *beside, *company, _command_line_caption()["caption"]}
    assert len(captions) == 1
    single = np.array(_post(client, "/bridge", "snare_drum.wav")["results"][0]["embedding"])
    many = np.array(_post(client, "/bridge", *_FORMATS[::-1])["results"][-1]["embedding"])
    assert np.abs(single - many).max() < 1e-4


async def _at_once(url: str, names: list[str]) -> list[tuple[str, str]]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def one(name: str) -> tuple[str, str]:
            response = await client.post("/caption", files={"file": (name, (_EXAMPLES / name).read_bytes())})
            return name, response.json()["results"][0]["caption"]

        return await asyncio.gather(*(one(name) for name in names))


def test_one_bad_file_leaves_the_others_alone(client: httpx.Client) -> None:
    good = (_EXAMPLES / "snare_drum.wav").read_bytes()
    files = [("file", ("a.wav", good)), ("file", ("b.wav", b"not a sound")), ("file", ("c.wav", good[:100]))]
    first, second, third = client.post("/caption", files=files).json()["results"]
    assert first["caption"]
    assert second["error"]["type"] == "unreadable_audio"
    assert third["error"]["type"] == "damaged_audio"


def test_models_health_and_metrics_answer(client: httpx.Client) -> None:
    assert "embedded" in client.get("/models").text
    assert client.get("/health/ready").status_code == client.get("/health/live").status_code == 200
    assert "diffusion_link_requests_total" in client.get("/metrics").text


def test_the_line_to_try_names_a_file_that_is_there(server: Server) -> None:
    found = re.search(r"file=@(\S+) (\S+)/caption", server.try_line)
    assert found
    assert (_EXAMPLES.parent / found[1]).is_file()
    assert found[2] == server.url


def test_the_command_line_says_which_file_failed(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    run = subprocess.run(
        [*_COMMAND, "caption", "--json", "--device", "cpu", str(tmp_path / "empty.wav"), str(_EXAMPLES / "snare_drum.wav")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 1
    failed, captioned = (json.loads(line) for line in run.stdout.splitlines())
    assert failed["error"]["type"] == "empty_audio"
    assert captioned["caption"]
