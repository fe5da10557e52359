"""The clients of examples/, each as a program of its own, against a real server with the embedded artifact."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from diffusion_link_client import Client

from tests.test_end_to_end import Server

_EXAMPLES = Path(__file__).parent.parent / "examples"
_SOUNDS = [str(_EXAMPLES / name) for name in ("snare_drum.wav", "piano.flac")]
_KEY = 'a "key" \\ of the test'
_NO_SERVICE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    running = Server()
    yield running.url
    assert running.stop() == 0


@pytest.fixture(scope="module")
def captions(url: str) -> list[str]:
    """What the sounds' captions are."""
    with Client(url) as client:
        return [result["caption"] for result in client.caption(_SOUNDS) if "error" not in result]


@pytest.fixture
def bad_file(tmp_path: Path) -> str:
    path = tmp_path / 'a "bad", one;.wav'
    path.write_bytes(b"no sound")
    return str(path)


@pytest.fixture
def url_of_full_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service that wants a key, has no place for the first request that brings it, and has one for the next."""

    class Handler(BaseHTTPRequestHandler):
        answers = iter([(429, {"error": {}}), (200, {"results": [{"filename": "a.wav", "caption": "a drum"}]})])

        def do_POST(self) -> None:
            status, body = next(self.answers) if self.headers["authorization"] == f"Bearer {_KEY}" else (401, {"error": {}})
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("retry-after", "1")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setenv("API_KEY", _KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return found


def test_python(url: str, captions: list[str], bad_file: str) -> None:
    command = [sys.executable, str(_EXAMPLES / "caption.py")]
    run = _run(*command, url, "a snare drum plays", *_SOUNDS)
    assert run.returncode == 0, run.stderr
    expected = [f"snare_drum.wav: {captions[0]}", f"piano.flac: {captions[1]}", "a snare drum plays: snare_drum.wav"]
    assert run.stdout.splitlines() == expected
    assert run.stderr == "2 of 2\n"
    assert "not a WAV" in (bad := _run(*command, url, "a drum", bad_file)).stdout
    assert bad.returncode == 1
    missing = _run(*command, _NO_SERVICE, "a drum", *_SOUNDS)
    assert (missing.returncode, "no_answer" in missing.stderr) == (1, True)


def test_curl(url: str, captions: list[str], bad_file: str) -> None:
    command = str(_EXAMPLES / "caption.sh")
    run = _run(command, url, *_SOUNDS, bad_file)
    assert run.returncode == 0, run.stderr
    *results, failed = json.loads(run.stdout)["results"]
    assert [result["caption"] for result in results] == captions
    assert failed["error"]["type"] == "unreadable_audio"
    refused = _run(command, url, bad_file)
    assert refused.returncode == 22
    assert '"unreadable_audio"' in refused.stdout


def test_javascript(url: str, captions: list[str], bad_file: str, node: str) -> None:
    command = [node, str(_EXAMPLES / "caption.mjs")]
    run = _run(*command, url, *_SOUNDS)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [f"snare_drum.wav: {captions[0]}", f"piano.flac: {captions[1]}"]
    beside = _run(*command, url, *_SOUNDS, bad_file)
    assert beside.returncode == 1
    assert beside.stdout.splitlines()[:2] == run.stdout.splitlines()
    assert "status 422, request " in (alone := _run(*command, url, bad_file)).stderr
    assert alone.returncode == 1
    assert _run(*command, _NO_SERVICE, *_SOUNDS).returncode == 1


def test_curl_asks_a_full_service_again(url_of_full_service: str) -> None:
    run = _run(str(_EXAMPLES / "caption.sh"), url_of_full_service, _SOUNDS[0])
    assert json.loads(run.stdout)["results"][0]["caption"] == "a drum"


def test_javascript_asks_a_full_service_again(url_of_full_service: str, node: str) -> None:
    run = _run(node, str(_EXAMPLES / "caption.mjs"), url_of_full_service, _SOUNDS[0])
    assert (run.stdout, run.stderr) == ("a.wav: a drum\n", "")
