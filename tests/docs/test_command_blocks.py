"""Every block of commands in the documentation is run here, beside one real server, or by another test, or says why not."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks, blocks_of
from tests.docs.shown import agrees
from tests.test_end_to_end import Server

_ADDRESS = "http://127.0.0.1:8000"
_HOME = "/home/you/diffusion-link"
_LIMIT_S = 120
BLOCKS = blocks()
HERE = [block for block in BLOCKS if not (block.not_run or block.run_by)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = Server()
    yield server.url
    assert server.stop() == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has in the project's folder: the sounds, the programs, and the commands in .venv."""
    home = tmp_path_factory.mktemp("home").resolve()
    shutil.copytree(ROOT / "examples", home / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", home)
    programs = home / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, words in {"python": "", "diffusion-link": "-m app.cli"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    return home


def _run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), str(home / "examples"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PATH": f"{home}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "80",
        "DIFFUSION_LINK_DEVICE": "cpu",
    }
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=_LIMIT_S)


def _sessions(text: str) -> list[tuple[str, str]]:
    """The commands of a console, each with what it is shown to print."""
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text + "\n", re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("block", HERE, ids=[block.name for block in HERE])
def test_a_block_does_what_it_shows(block: Block, url: str, home: Path) -> None:
    text = block.text.replace(_ADDRESS, url).replace(_HOME, str(home))
    if block.language == "console":
        for command, shown in _sessions(text):
            run = _run(["bash", "-c", command], home)
            assert shown.strip(), f"{command}: a console shows what is printed"
            assert agrees(shown, run.stdout), f"$ {command}\n{run.stdout}{run.stderr}"
        return
    if block.language == "bash":
        # An answer that is an error fails curl here.
        command = ["bash", "-c", 'set -euo pipefail; curl() { command curl --fail-with-body --silent "$@"; }\n' + text]
    else:
        assert block.language == "python", f"{block.name}: mark it, there is nothing here to run it"
        command = [sys.executable, "-c", text]
    if re.search(r"^node ", text, re.MULTILINE) and not shutil.which("node"):
        pytest.skip("node is not installed")
    run = _run(command, home)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() or ">" in text


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.run_by], ids=lambda block: block.name)
def test_the_test_that_runs_a_block_knows_it(block: Block) -> None:
    assert block.run_by is not None
    assert block.heading in (ROOT / block.run_by).read_text(encoding="utf-8")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.not_run], ids=lambda block: block.name)
def test_what_a_reason_names_exists(block: Block) -> None:
    for path in re.findall(r"(?:tests|\.ci)/[\w/.]*\w", str(block.not_run)):
        assert (ROOT / path).exists(), path


def test_a_block_without_a_language_or_with_a_bad_mark_is_not_passed_over() -> None:
    with pytest.raises(AssertionError, match="must say"):
        list(blocks_of("a.md", "```\nls\n```"))
    with pytest.raises(AssertionError, match="console"):
        list(blocks_of("a.md", "```text\n$ ls\n```"))
    (empty,) = blocks_of("a.md", "<!-- not run: -->\n```bash\nls\n```")
    assert not empty.not_run


def test_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert HERE
    lines = [f"{len(HERE)} blocks of commands run"]
    lines += [f"{block.name} is run by {block.run_by}" for block in BLOCKS if block.run_by]
    lines += [f"{block.name} is not run: {block.not_run}" for block in BLOCKS if block.not_run]
    with capsys.disabled():
        sys.stdout.write("\n  ".join(["", *lines, ""]))
