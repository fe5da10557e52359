"""Small Dockerfiles gone through whole: one that is well, and each way in which one can be refused. And ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.files import ROOT
from tests.programs import RUN_DOCKERFILE

_SERVER = """
import json, os, signal, sys, tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        sound = self.rfile.read(int(self.headers["content-length"]))
        AT_POST
        self.send_response(200)
        self.end_headers()
        caption = " ".join([os.environ["WORD"], str(len(sound)), *sorted({"HOME", "CANARY"} & os.environ.keys())])
        self.wfile.write(json.dumps({"results": [{"caption": caption}]}).encode())

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
AT_START
HTTPServer(("127.0.0.1", int(os.environ["DIFFUSION_LINK_PORT"])), Handler).serve_forever()
"""
_DOCKERFILE = """
FROM scratch AS made
ARG WORD=a
WORKDIR /build
COPY server.py ./
RUN mkdir /opt && echo "$WORD" > /opt/word && cp server.py /opt/server.py

FROM scratch
ENV WORD=sound TWICE=$PATH:/opt/bin
RUN useradd somebody
COPY --from=made /opt /opt
RUN --mount=type=bind,from=made,source=/build,target=/mounted test -f /mounted/server.py && grep -qx dog /opt/word
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=1s --timeout=5s --start-period=0s --retries=2 \\
  CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['DIFFUSION_LINK_PORT'])"]
CMD ["python3", "/opt/server.py"]
"""


def _go_through(
    context: Path, *, dockerfile: str = _DOCKERFILE, at_start: str = "", at_post: str = ""
) -> tuple[int, str, str]:
    (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    server = _SERVER.replace("AT_START", at_start).replace("AT_POST", at_post)
    (context / "server.py").write_text(server, encoding="utf-8")
    (context / "sound.wav").write_bytes(b"RIFF")
    command = [sys.executable, "-m", "deploy.plain_image", "--context", str(context), "--sound", str(context / "sound.wav")]
    work = {"TMPDIR": os.environ.get("TMPDIR", "/tmp"), "CANARY": "1", "PATH": os.defpath}
    outcome = subprocess.run(
        [*command, "--build-arg", "WORD=dog", "--time", "1"], cwd=ROOT, env=work, capture_output=True, text=True, check=False
    )
    return outcome.returncode, outcome.stdout, outcome.stderr


def test_a_build_argument_without_a_value_is_refused() -> None:
    command = [sys.executable, "-m", "deploy.plain_image", "--build-arg", "WORD"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert "'WORD' is not NAME=VALUE" in outcome.stderr


def test_a_dockerfile_is_followed_to_a_caption_and_an_end(tmp_path: Path) -> None:
    status, said, error = _go_through(tmp_path)
    assert (status, error) == (0, "")
    rows = [line.split(maxsplit=1)[0] for line in said.splitlines() if not line.startswith(" ")]
    assert rows.count("left") == 1, said
    assert "RUN useradd somebody: useradd cannot be run without root" in said
    assert 'ARG WORD=a: is "dog"' in said
    assert '"sound 4 HOME"' in said, "the program has the image's variables, and none of ours"
    assert "SIGTERM ends it with status 0" in said
    assert "nothing was written outside of /tmp" in said


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("COPY server.py", "COPY sever.py", "Dockerfile:5: COPY sever.py ./: sever.py does not exist"),
        ("RUN mkdir /opt", "RUN echo so && false && mkdir /opt", "exit status 1\nso"),
        ("RUN useradd somebody", "RUN useradd somebody && echo", "useradd cannot be run without root"),
        ("source=/build", "source=/elsewhere", "elsewhere"),
        ("from=made,source", "readonly=true,from=made,source", "no mount but"),
        ("TWICE=$PATH", "TWICE=$NOBODY", "'NOBODY' has no value"),
        ("FROM scratch\nENV", "FROM debian:12\nENV", "FROM debian:12: only"),
        ("USER 10001:10001", "USER 0:0", "USER is 0:0"),
        ("USER 10001:10001", "USER captioner", "USER is captioner"),
        ('CMD ["python3", "/opt', 'CMD ["python4", "/opt', "python4 cannot be started"),
        ("urlopen('http://127.0.0.1:'", "urlopen('http://127.0.0.1:1' or", "the health check does not pass"),
        ("--interval=1s", "--interval=1h", "1h is no time"),
    ],
)
def test_a_step_that_fails_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert _DOCKERFILE.count(old) == 1
    status, _, error = _go_through(tmp_path, dockerfile=_DOCKERFILE.replace(old, new))
    assert status == 1
    assert reason in error


@pytest.mark.parametrize(
    ("at_start", "at_post", "reason"),
    [
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "", "SIGTERM did not end the program in 1 s"),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))", "", "status 3 after SIGTERM"),
        ("sys.exit('no model')", "", "the program ended, status 1\nno model"),
        ("open(os.path.dirname(__file__) + '/cache', 'w')", "", "Permission denied"),
        (
            "",
            "os.chmod(__file__, 0o644); open(__file__, 'a').write('#')",
            "1 paths outside of /tmp were written: /opt/server.py",
        ),
        ("", "sound = 1", "POST /caption of sound.wav"),
    ],
    ids=["ignores SIGTERM", "ends badly", "does not start", "wants to write", "writes", "fails"],
)
def test_a_program_that_misbehaves_is_refused(tmp_path: Path, at_start: str, at_post: str, reason: str) -> None:
    status, _, error = _go_through(tmp_path, at_start=at_start, at_post=at_post)
    assert status == 1
    assert reason in error


def test_a_file_that_only_its_owner_could_read_is_refused(tmp_path: Path) -> None:
    closed = _DOCKERFILE.replace("RUN mkdir /opt", "RUN mkdir /opt && (umask 077; echo > /opt/closed)")
    status, _, error = _go_through(tmp_path, dockerfile=closed)
    assert status == 1
    assert "/opt/closed could not be read in the image" in error


@pytest.mark.skipif(not RUN_DOCKERFILE, reason="minutes, gigabytes, a package registry: DIFFUSION_LINK_RUN_DOCKERFILE=1")
def test_ours_makes_an_image_that_captions_a_sound() -> None:
    command = [sys.executable, "-m", "deploy.plain_image", "--build-arg", "TORCH_INDEX="]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert '"a snare drum plays"' in outcome.stdout
