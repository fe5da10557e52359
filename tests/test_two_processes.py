"""train-decoder shared by two processes: the weights of one, also where one of the two was killed in between.

Without dropout: each share of a batch draws its own, and the shares differ with their number.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.clap.encoder import ClapEncoder
from models.errors import TrainingError
from models.training.recipe import read_recipe
from models.training.train_decoder import train_decoder
from tests.models.decoder_work import write_decoder_work
from tests.models.training_work import log_lines

_ROOT = Path(__file__).parents[1]
_TOLERANCE = 1e-5
"""Sums over a batch come in another order where it is divided."""
_RECIPE = """
base = "tiny.toml"

[decoder]
vocab_size = 300
prefix_length = 2
projector_dim = 32
batch_size = 15
inputs = { text = 0.5, bridged = 0.5 }
[decoder.language_model]
hidden_size = 32
num_layers = 1
num_heads = 2
max_positions = 24
dropout = 0.0
[decoder.loop]
steps = 12
learning_rate = 1e-2
warmup_steps = 2
ema_decay = 0.5
checkpoint_every = 4
evaluate_every = 6
log_every = 1
"""
_COMMAND = """
import os, signal, sys
from app.cli import main
from models.training.loop import TrainingLoop

stop_at, *words = sys.argv[1:]
one_step = TrainingLoop._one_step

def until(self, batch_loss):
    if self.step == int(stop_at) and self.processes.index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return one_step(self, batch_loss)

TrainingLoop._one_step = until
sys.exit(main(words))
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, tiny_clap: ClapEncoder) -> Path:
    """All that train-decoder reads, with the recipe beside it."""
    directory = write_decoder_work(tmp_path_factory.mktemp("work"), tiny_clap)
    shutil.copy(_ROOT / "recipes" / "tiny.toml", directory)
    (directory / "recipe.toml").write_text(_RECIPE, encoding="utf-8")
    return directory


def _copy(work: Path, directory: Path) -> Path:
    """A work directory with a decoder of its own."""
    directory.mkdir()
    for folder in ("corpus", "clap", "embeddings", "bridge"):
        (directory / folder).symlink_to(work / folder, target_is_directory=True)
    return directory


def _alone(work: Path, directory: Path, **loop: Any) -> Path:
    recipe = read_recipe(work / "recipe.toml").decoder
    assert recipe is not None
    recipe = recipe.model_copy(update={"loop": recipe.loop.model_copy(update=loop)})
    train_decoder(recipe, _copy(work, directory), "cpu", resume=False)
    return directory


def _launch(tmp_path: Path, *words: str, stop_at: int = -1) -> subprocess.CompletedProcess[str]:
    """Run a command in two processes, as torchrun does."""
    command = tmp_path / "command.py"
    command.write_text(_COMMAND, encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launcher, str(command), str(stop_at), *words], cwd=_ROOT, env=environment, capture_output=True, text=True
    )


def _weights(directory: Path) -> dict[str, Tensor]:
    """Weights of the trained decoder, but for the biases of the attention's keys.

    These add the same to all scores of a query, which softmax takes no notice of: their gradient is rounding, and Adam
    makes steps of full length of it.
    """
    files = sorted((directory / "decoder" / "model").rglob("*.safetensors"))
    weights = {f"{path.stem} {name}": tensor for path in files for name, tensor in load_file(path).items()}
    name = "model transformer.h.0.attn.c_attn.bias"
    queries, _, values = weights[name].chunk(3)
    return weights | {name: torch.cat([queries, values])}


def _assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=_TOLERANCE, msg=lambda text, n=name: f"{n}: {text}")


@pytest.fixture(scope="module")
def alone(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of whole batches."""
    return _alone(work, tmp_path_factory.mktemp("alone") / "work")


def test_two_processes_killed_and_resumed_end_with_the_weights_of_one(work: Path, alone: Path, tmp_path: Path) -> None:
    shared = _copy(work, tmp_path / "shared")
    words = ["train-decoder", str(work / "recipe.toml"), "--work", str(shared), "--device", "cpu"]
    killed = _launch(tmp_path, *words, stop_at=6)
    assert killed.returncode not in (0, -signal.SIGKILL), "the launcher ends all when one has died"
    assert "SIGKILL" in killed.stderr
    assert (shared / "decoder" / "checkpoint.pt").is_file()
    assert not (shared / "decoder" / "model").exists()
    resumed = _launch(tmp_path, *words, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("train-decoder step 12") == 1
    _assert_close(_weights(shared), _weights(alone))
    ours, theirs = ([line for line in log_lines(path / "decoder") if "loss" in line] for path in (shared, alone))
    assert [line["step"] for line in ours] == list(range(1, 13))
    assert [line["loss"] for line in ours] == pytest.approx([line["loss"] for line in theirs], abs=2e-5)


def test_micro_batches_end_with_the_weights_of_whole_ones(work: Path, alone: Path, tmp_path: Path) -> None:
    _assert_close(_weights(_alone(work, tmp_path / "work", accumulation=2)), _weights(alone))


def test_a_batch_with_fewer_rows_than_shares_is_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a batch of 15 cannot be divided into 16 shares"):
        _alone(work, tmp_path / "work", accumulation=16)
    assert not (tmp_path / "work" / "decoder").exists()
