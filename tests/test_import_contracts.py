"""Imports point one way: the contracts of pyproject.toml hold, and each of them can fail."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BREACHES = {
    "app-door": ("app/errors.py", "import models.clap.encoder"),
    "app-tensors": ("app/errors.py", "import torch"),
    "models-http": ("models/audio.py", "import starlette.responses"),
    "models-layers": ("models/pipeline.py", "import models.training.loop"),
    "stage": ("app/stage.py", "import numpy"),
}


def lint_imports(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-logo", "--no-cache", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    for source in [ROOT / "pyproject.toml", *ROOT.glob("app/**/*.py"), *ROOT.glob("models/**/*.py")]:
        copy = tmp_path / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return tmp_path


def test_all_contracts_are_kept() -> None:
    outcome = lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("contract", BREACHES)
def test_a_breach_is_seen(copied_tree: Path, contract: str) -> None:
    file, statement = BREACHES[contract]
    path = copied_tree / file
    path.write_text(path.read_text(encoding="utf-8") + f"\n\ndef _breach() -> None:\n    {statement}\n", encoding="utf-8")
    outcome = lint_imports(copied_tree, "--contract", contract)
    assert outcome.returncode == 1
    assert "0 kept, 1 broken" in outcome.stdout


@pytest.mark.parametrize(("importer", "imported"), [("clap", "bridge"), ("bridge", "decoder"), ("decoder", "clap")])
def test_clap_bridge_and_decoder_are_independent(copied_tree: Path, importer: str, imported: str) -> None:
    path = copied_tree / "models" / importer / "store.py"
    path.write_text(path.read_text(encoding="utf-8") + f"\nimport models.{imported}.store\n", encoding="utf-8")
    assert "1 broken" in lint_imports(copied_tree, "--contract", "models-layers").stdout


def test_a_new_module_of_models_must_be_given_its_layer(copied_tree: Path) -> None:
    (copied_tree / "models" / "newcomer.py").write_text("", encoding="utf-8")
    outcome = lint_imports(copied_tree, "--contract", "models-layers")
    assert outcome.returncode == 1
    assert "newcomer" in outcome.stdout + outcome.stderr


_STAGE = ("app.fair_queue", "app.pending", "app.stage", "app.stage_observer")


@pytest.mark.parametrize("module", _STAGE)
def test_stage_imports_nothing_but_the_standard_library(module: str) -> None:
    """The contract lists what it forbids; this leaves no name out."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module))
    assert imported
    assert {name.split(".")[0] for name in imported - set(_STAGE)} <= sys.stdlib_module_names
