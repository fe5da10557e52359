"""README's section on searching, run: the real command, the embedded artifact, the sounds of examples/."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from app.cli import main

_ROOT = Path(__file__).parent.parent
_HEADING = "## Search a folder of sounds"


def _sessions() -> list[tuple[list[str], str]]:
    """The commands of the section's first block, and the line that each prints."""
    block = (_ROOT / "README.md").read_text(encoding="utf-8").partition(_HEADING)[2].split("```\n")[1].splitlines()
    return [(shlex.split(line.removeprefix("$ "))[1:], said) for line, said in zip(block[::2], block[1::2], strict=True)]


def test_the_section_of_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(_ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    (index, indexed), (search, found) = _sessions()
    assert main([*index, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == indexed + "\n"
    assert main([*search, "--device", "cpu"]) == 0
    printed, expected = json.loads(capsys.readouterr().out), json.loads(found)
    assert printed["file"] == str(tmp_path.resolve() / "examples" / Path(expected["file"]).name)
    assert printed["cosine"] == pytest.approx(expected["cosine"], abs=2e-4)
