"""The image agrees with the project and the service, and every requirement has its pin; see tests/deploy for the rest."""

import json
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.settings import ServiceSettings
from deploy.plain_image.dockerfile import check_copies, read_ignored, read_instructions, read_stages, sent
from tests.programs import linter

ROOT = Path(__file__).parent.parent
PORT = ServiceSettings.model_fields["port"].default
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


INSTRUCTIONS = read_instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))


def arguments(instruction: str) -> list[str]:
    return [found.text for found in INSTRUCTIONS if found.word == instruction]


def final_stage(instruction: str) -> list[str]:
    return [found.text for found in read_stages(INSTRUCTIONS)[1][-1].instructions if found.word == instruction]


def test_everything_the_image_copies_exists_and_reaches_the_build() -> None:
    _, stages = read_stages(INSTRUCTIONS)
    check_copies(stages, ROOT)
    sources = {source for found in INSTRUCTIONS if found.word == "COPY" for source in found.paths()[0]}
    assert {"app", "models", "pyproject.toml", "constraints.txt"} <= sources
    patterns = read_ignored(ROOT)
    for path in (".venv", ".git", "work", "secrets/api_keys", "app/__pycache__", "models/clap/store.pyc"):
        assert not sent(path, patterns), path


def test_the_image_is_pinned_and_of_the_python_that_is_required() -> None:
    image = next(rest for rest in arguments("ARG") if rest.startswith("PYTHON_IMAGE="))
    assert image.startswith("PYTHON_IMAGE=python:3.11.")
    assert all(rest.split()[0] in ("${PYTHON_IMAGE}", "dependencies", "scratch") for rest in arguments("FROM"))


def test_the_image_serves_on_all_interfaces_without_root_and_without_a_shell() -> None:
    (user,) = final_stage("USER")
    # Numbers, so that an orchestrator can see that it is not root.
    assert all(int(number) > 0 for number in user.split(":"))
    (command,) = map(json.loads, final_stage("CMD"))
    assert command == ["diffusion-link", "serve", "--host", "0.0.0.0"]
    assert command[0] in PYPROJECT["project"]["scripts"]
    assert final_stage("EXPOSE") == [str(PORT)]
    assert any("HF_HUB_OFFLINE=1" in variables for variables in final_stage("ENV"))


def test_the_image_serves_the_artifact_that_it_copies() -> None:
    (variables,) = final_stage("ENV")
    (copied,) = [found.paths()[1] for found in INSTRUCTIONS if found.flags.get("from") == "artifact"]
    assert f"DIFFUSION_LINK_ARTIFACT={copied}" in variables.split()
    assert (ROOT / "models" / "embedded" / "artifact.json").is_file()
    assert arguments("COPY").count("models/embedded /") == 1


def test_no_build_tool_is_left_in_the_image() -> None:
    last = final_stage("RUN")[-1]
    assert set(last.partition("pip uninstall")[2].split()) >= {"pip", "setuptools", "wheel"}
    assert [run for run in arguments("RUN") if "-m venv" in run and "--without-pip" not in run] == []
    assert not any("apt-get" in run for run in arguments("RUN"))


def test_hadolint_finds_no_fault() -> None:
    checked = subprocess.run([linter("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


class Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture(params=[200, 503])
def service(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A server on this machine whose readiness is the parameter: its port and that status."""
    handler = type("Answering", (Health,), {"status": request.param})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, request.param
        server.shutdown()
        thread.join()


def test_the_health_check_passes_only_where_the_service_is_ready(service: tuple[int, int]) -> None:
    port, status = service
    (command,) = [found.command() for found in INSTRUCTIONS if found.word == "HEALTHCHECK"]
    assert command[0] == "python"
    environment = {"DIFFUSION_LINK_PORT": str(port)}
    outcome = subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True, check=False)
    assert outcome.returncode == (0 if status == 200 else 1), outcome.stderr


def test_every_requirement_has_an_exact_pin_that_satisfies_it() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(versions) == len(pins)
    assert all(str(pin.specifier).startswith("==") and "*" not in str(pin.specifier) for pin in pins)

    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *PYPROJECT["build-system"]["requires"]]
    # laion-clap needs numpy 1, and so has pins of its own.
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name != "laion"}
    wanted += [line for lines in extras.values() for line in lines]
    for requirement in map(Requirement, wanted):
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
