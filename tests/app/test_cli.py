"""The command line: flags, settings, one-line errors, and what is imported when."""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import cli, command_caption, command_serve
from app.schemas import CaptionOptions
from app.settings import ServiceSettings
from models.errors import ArtifactError


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_serve, "configure_logging", lambda: None)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServiceSettings]:
    calls: list[ServiceSettings] = []
    monkeypatch.setattr(command_serve, "serve", lambda settings: calls.append(settings) or 0)
    return calls


@pytest.fixture
def captioned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def caption(paths: list[str], options: CaptionOptions, settings: ServiceSettings, *, as_json: bool) -> int:
        calls.append((paths, options, settings, as_json))
        return 1

    monkeypatch.setattr(command_caption, "caption", caption)
    return calls


def test_flags_come_before_variables(served: list[ServiceSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSION_LINK_PORT", "1")
    monkeypatch.setenv("DIFFUSION_LINK_HOST", "::1")
    flags = ["--port", "2", "--device", "cpu", "--artifact", "there", "--precision", "bf16"]
    assert cli.main(["serve", *flags]) == 0
    (settings,) = served
    assert (settings.port, settings.host, settings.device, settings.artifact) == (2, "::1", "cpu", Path("there"))
    assert settings.precision == "bf16"


def test_without_flags_there_are_defaults(served: list[ServiceSettings], captioned: list[tuple[Any, ...]]) -> None:
    assert cli.main(["serve"]) == 0
    assert served == [ServiceSettings()]
    assert cli.main(["caption", "a.wav"]) == 1
    assert captioned == [(["a.wav"], CaptionOptions(), ServiceSettings(), False)]


def test_caption_flags(captioned: list[tuple[Any, ...]]) -> None:
    flags = ["--json", "--candidates", "3", "--timeline", "--max-new-tokens", "8", "--seed", "5", "--no-bridge"]
    assert cli.main(["caption", "a", "b", *flags, "--device", "cpu"]) == 1
    ((paths, options, settings, as_json),) = captioned
    assert (paths, as_json, settings.device) == (["a", "b"], True, "cpu")
    assert options == CaptionOptions(candidates=3, timeline=True, max_new_tokens=8, seed=5, bridge=False)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serve", "--port", "70000"], "port: Input should be less than or equal to 65535"),
        (["caption", "a", "--candidates", "99"], "candidates: Input should be less than or equal to 8"),
    ],
)
def test_a_setting_that_cannot_be(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == f"diffusion-link: {line}\n"


def test_settings_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DIFFUSION_LINK_MAX_FILES", "100")
    assert cli.main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("diffusion-link: settings: Value error, max_files (100)")


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["caption", "a.wav"]])
def test_a_bad_artifact_is_one_line(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*arguments, "--device", "cpu", "--artifact", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"diffusion-link: {tmp_path / 'none'}: is not a directory"


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"diffusion-link: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port"


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: ServiceSettings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_serve, "serve", interrupted)
    assert cli.main(["serve"]) == 130


def test_errors_of_this_project_only_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: ServiceSettings) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(command_serve, "serve", failing)
    with pytest.raises(ZeroDivisionError):
        cli.main(["serve"])
    assert issubclass(cli.UsageError, Exception)
    assert not issubclass(ArtifactError, cli.UsageError)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for command in (
        "serve",
        "caption",
        "index",
        "search",
        "plan",
        "corpus",
        "train-clap",
        "embed",
        "train-bridge",
        "train-decoder",
        "evaluate",
        "evaluate gap",
        "export",
        "doctor",
        "bench",
        "completion",
    ):
        assert command in text
    places = [text.index(heading) for heading in ("serving:", " serve ", "training:", " convert ", "tools:", " doctor ")]
    assert places == sorted(places)


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["caption"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(arguments)
    assert done.value.code == 2
    assert capsys.readouterr().err.startswith("usage: diffusion-link")


def test_training_commands_are_dispatched(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.training import commands

    def add_commands(subparsers: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
        subparsers.add_parser("embed").set_defaults(run=lambda _: 7)

    monkeypatch.setattr(commands, "add_commands", add_commands)
    assert cli.main(["embed"]) == 7


def test_evaluate_and_evaluate_gap_are_two_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["evaluate"], ["evaluate", "gap"]):
        assert cli.main([*words, str(tmp_path / "nothing.toml")]) == 1
        assert capsys.readouterr().err.startswith(f"diffusion-link {' '.join(words)}: ")


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in ("serve", "index", "search", "doctor"))])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from app import cli\n"
        f"try: cli.main({arguments})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'transformers', 'fastapi', 'models.training.recipe', 'models.pipeline'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["serve", "index", "search", "plan", "doctor", "bench"])
def test_serving_and_tools_do_not_know_training(command: str) -> None:
    code = (
        "import sys; from app import cli\n"
        f"try: cli.main(['{command}', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not [name for name in sys.modules if name.startswith('models.training')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_without_a_command_there_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "train-bridge" in capsys.readouterr().out


def test_a_reader_that_is_gone_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "app.cli", "completion", "bash"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
