"""Completion: what a real shell offers when Tab is pressed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from app import cli

_BASH = shutil.which("bash")
_ASK = """
set -u
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_diffusion_link
printf '%s\\n' "${COMPREPLY[@]}"
"""


def _script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.fixture
def bash_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "script"
    path.write_text(_script("bash", capsys), encoding="utf-8")
    return path


def _offered(script: Path, words: str, folder: Path) -> set[str]:
    assert _BASH is not None
    command = [_BASH, "-c", _ASK, "bash", str(script), "diffusion-link", *words.split(" ")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert run.stderr == ""
    return set(run.stdout.split())


@pytest.mark.skipif(_BASH is None, reason="no bash")
def test_what_bash_offers(bash_script: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    (folder / "recipes").mkdir(parents=True)
    for name in ("mine.toml", "sound.wav"):
        (folder / name).touch()
    longer = {"gap", "captions", "report"}
    for words, offered in {
        "tr": {"train-clap", "train-bridge", "train-decoder"},
        "comp": {"completion"},
        "completion ": {"bash", "zsh", "tcsh"},
        "serve --device ": {"auto", "cpu", "cuda", "mps"},
        "train-clap mine.toml --device cu": {"cuda"},
        "embed --precision f": {"fp32", "fp16"},
        "serve --p": {"--port", "--precision"},
        "serve --artifact ": {"recipes"},
        "caption sound.wav ": {"recipes", "mine.toml", "sound.wav"},
        "embed ": {"recipes", "mine.toml"},
        "evaluate ": {*longer, "recipes", "mine.toml"},
        "evaluate r": {"report", "recipes"},
        "evaluate gap ": {"recipes", "mine.toml"},
        "evaluate gap mine.toml --s": {"--split", "--seeds"},
        "evaluate mine.toml --split ": {"validation", "test"},
        "convert ": {"clap"},
        "convert clap s": {"sound.wav"},
    }.items():
        assert _offered(bash_script, words, folder) == offered, words


@pytest.mark.skipif(_BASH is None, reason="no bash")
def test_every_command_is_offered(bash_script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ") and line[4] != " "}
    assert _offered(bash_script, "", tmp_path) == listed
    assert {"serve", "export", "doctor", "evaluate"} <= listed


def test_zsh_is_given_patterns_and_no_qualifiers(capsys: pytest.CaptureFixture[str]) -> None:
    # Seen in zsh 5.9: of '(*.toml)' it offers nothing.
    text = _script("zsh", capsys)
    assert ":_files -g '*.toml'" in text
    assert "{compadd gap captions report; _files -g '*.toml'}" in text
    assert "'(*." not in text


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("tcsh", "-nf")])
def test_the_shell_can_read_it(shell: str, check: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _script(shell, capsys)
    # Wherever the shell is not to be had, at least this: its script knows the commands.
    assert "train-decoder" in text
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    path = tmp_path / "script"
    path.write_text(text, encoding="utf-8")
    run = subprocess.run([program, check, str(path)], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
