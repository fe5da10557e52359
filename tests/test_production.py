"""The production section of docs/training.md, pasted into a shell: from tables of captions to an artifact that is served."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.cli import main

_ROOT = Path(__file__).parent.parent
_HEADING = "## Train it on your own pairs, with released models"
_SERVE = "diffusion-link serve --artifact $WORK/artifact"


def _block() -> list[str]:
    """The commands of the section, without those that set up the project and without the last, which does not end."""
    section = (_ROOT / "docs" / "training.md").read_text(encoding="utf-8").partition(_HEADING)[2]
    lines = section.split("```bash\n")[1].partition("```")[0].splitlines()
    assert lines[0].startswith("make setup")
    assert lines[-1].startswith(_SERVE)
    return lines[1:-1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with audio laid out as AudioCaps is, and a recipe for it that is done quickly."""
    home = tmp_path_factory.mktemp("production")
    words = ["recipes/tiny.toml", str(home / "audiocaps"), "--clips", "40", "--work", str(home / "tiny")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(_ROOT)
        assert main(["corpus", "recipes/tiny.toml", "--work", str(home / "tiny")]) == 0
        subprocess.run([sys.executable, "-m", "recipes.audiocaps_like", *words], check=True, env=_environment())
    recipe = (_ROOT / "recipes" / "audiocaps_small.toml").read_text(encoding="utf-8")
    quick, changed = re.subn(r"steps = 300\b", "steps = 20", recipe)
    assert changed == 2
    (home / "mine.toml").write_text(quick, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def artifact(home: Path) -> Path:
    """What the section leaves, the encoder taken from the package instead of the hub."""
    settings, *commands = _block()
    for name, value in {"RECIPE": "mine.toml", "WORK": "work/mine", "CLAP": str(_ROOT / "models/embedded/clap")}.items():
        settings, changed = re.subn(rf"\b{name}=\S+", f"{name}={value}", settings)
        assert changed == 1, name
    script = "\n".join(["set -eo pipefail", settings, *commands])
    outcome = subprocess.run(["bash", "-c", script], cwd=home, env=_environment(), capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "embed_max_batch_cost" in outcome.stdout
    return home / "work" / "mine" / "artifact"


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(_ROOT), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def server(artifact: Path) -> Iterator[str]:
    """The service on a free port, as the section's last line starts it; its address."""
    words = [*_SERVE.replace("$WORK/artifact", str(artifact)).split(), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(words, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    assert found
    yield found[0]
    process.terminate()
    process.stdout.close()
    assert process.wait(timeout=60) == 0


def test_the_artifact_says_what_it_was_made_of(artifact: Path) -> None:
    manifest = json.loads((artifact / "artifact.json").read_bytes())
    assert manifest["name"] == "audiocaps-small"
    assert manifest["training_data"]["data"]["parts"]["bridge"] == {"clips": 32, "captions": 32, "unusable": 0}
    assert {"retrieval", "captions", "gap"} <= manifest["metrics"].keys()
    source = json.loads((artifact / "clap" / "source.json").read_bytes())
    assert source["format"] == "transformers"
    assert "audiocaps" in (artifact / "README.md").read_text(encoding="utf-8").lower()


def test_it_captions_over_http(server: str) -> None:
    file = _ROOT / "examples" / "snare_drum.wav"
    answer = httpx.post(f"{server}/caption", files={"file": (file.name, file.read_bytes())}, timeout=60)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["model"] == "audiocaps-small"
    assert content["results"][0]["caption"]
