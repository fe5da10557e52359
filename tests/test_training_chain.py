"""The tiny recipe through the whole chain, as a user runs it; and every training killed with SIGKILL and resumed."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.artifact import verify_artifact
from models.audio import WINDOW_SAMPLES
from models.pipeline import Pipeline
from models.training.commands import add_commands

_ROOT = Path(__file__).parents[1]
_RECIPE = _ROOT / "recipes" / "tiny.toml"
_CHAIN = ("corpus", "train-clap", "embed", "train-bridge", "train-decoder", "export", "evaluate", "export")
_KILLED = """
import argparse, os, signal, sys
import torch
from models.training import loop
from models.training.commands import add_commands

stage, recipe, work, step, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
one_step = loop.TrainingLoop._one_step

def until(self, batch_loss):
    if self.step == int(step):
        os.kill(os.getpid(), signal.SIGKILL)
    return one_step(self, batch_loss)

loop.TrainingLoop._one_step = until
parser = argparse.ArgumentParser()
add_commands(parser.add_subparsers())
arguments = parser.parse_args([stage, recipe, "--work", work, "--device", "cpu"])
arguments.run(arguments)
"""


def _run(stage: str, work: Path, *options: str) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args([stage, str(_RECIPE), "--work", str(work), "--device", "cpu", *options])
    status: int = arguments.run(arguments)
    return status


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The work directory of the chain, run once; the recipe's tables are named from the project's root."""
    directory = tmp_path_factory.mktemp("chain") / "work"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(_ROOT)
        for stage in _CHAIN:
            assert _run(stage, directory) == 0, stage
        yield directory


def test_the_chain_ends_with_an_artifact_that_writes(work: Path) -> None:
    pipeline = Pipeline.load(work / "artifact", "cpu")
    windows = np.random.default_rng(0).normal(0, 0.1, (1, WINDOW_SAMPLES)).astype(np.float32)
    bridged = pipeline.bridge(pipeline.embed_audio(windows), [0])
    ((caption, *_),) = pipeline.write(bridged, seeds=[0], candidates=1, max_new_tokens=16)
    assert caption.caption
    manifest = verify_artifact(work / "artifact")
    assert manifest.recipe["bridge"]["kind"] == "diffusion-link"
    assert set(manifest.metrics) > {"hearing", "retrieval", "by_sound"}
    assert "By sound" in (work / "artifact" / "README.md").read_text(encoding="utf-8")


def test_an_evaluation_of_the_validation_split_measures_nothing_of_the_card(work: Path) -> None:
    before = (work / "evaluation" / "report.json").read_bytes()
    assert _run("evaluate", work, "--split", "validation") == 0
    assert (work / "evaluation" / "report.json").read_bytes() == before
    assert (work / "evaluation-validation" / "report.json").is_file()


@pytest.mark.parametrize(("stage", "step"), [("train-clap", 60), ("train-bridge", 47), ("train-decoder", 33)])
def test_a_killed_training_resumed_ends_with_the_weights_of_an_unbroken_one(
    stage: str, step: int, work: Path, tmp_path: Path
) -> None:
    folder = stage.removeprefix("train-")
    for earlier in ("corpus", "clap", "embeddings", "bridge"):
        if earlier == folder:
            break
        (tmp_path / earlier).symlink_to(work / earlier, target_is_directory=True)
    # As many threads as here: sums in another order would be other sums.
    words = [stage, str(_RECIPE), str(tmp_path), str(step), str(torch.get_num_threads())]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, *words], cwd=_ROOT, env=os.environ | {"PYTHONPATH": str(_ROOT)}, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / folder / "checkpoint.pt").is_file()
    assert not (tmp_path / folder / "model").exists()
    assert _run(stage, tmp_path, "--resume") == 0
    files = sorted(path.relative_to(work) for path in (work / folder / "model").rglob("*.safetensors"))
    assert files
    for name in files:
        unbroken, resumed = load_file(work / name), load_file(tmp_path / name)
        assert unbroken.keys() == resumed.keys()
        assert all(torch.equal(tensor, resumed[key]) for key, tensor in unbroken.items())
