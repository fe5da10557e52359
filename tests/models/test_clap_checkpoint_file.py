"""Pickled checkpoints: read safely, or unsafely on one person's word for one file, and refused with what to do."""

import hashlib
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.clap.checkpoint_file import read_checkpoint
from models.errors import SourceError

_STATE = {"a.weight": torch.arange(3.0), "b": torch.tensor(2)}


class _Touch:
    """Leaves a file behind when it is unpickled: what a hostile checkpoint could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": OrderedDict(state), "epoch": 1}])
def test_weights_are_found_bare_or_under_their_name(tmp_path: Path, prefix: str, wrap: Any) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(wrap({prefix + name: tensor for name, tensor in _STATE.items()}), path)
    state, sha256 = read_checkpoint(path)
    assert state.keys() == _STATE.keys()
    assert torch.equal(state["a.weight"], _STATE["a.weight"])
    assert len(sha256) == 64


def test_numbers_of_numpy_are_safe(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"state_dict": _STATE, "best": [np.float64(0.5), np.float32(1), np.int64(3)]}, path)
    assert read_checkpoint(path)[0].keys() == _STATE.keys()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numbers_of_numpy_are_safe_under_the_names_of_both_versions(tmp_path: Path, module: bytes) -> None:
    path, here = tmp_path / "checkpoint.pt", np.float64(0).__reduce__()[0].__module__.encode()
    content = pickle.dumps({"state_dict": {}, "best": np.float64(0.5)}, protocol=2)
    assert here in content
    path.write_bytes(_legacy(content.replace(here, module)))
    with pytest.raises(SourceError, match="holds no weights"):
        read_checkpoint(path)


def _legacy(pickled: bytes) -> bytes:
    """torch's format before 1.6: magic number, version, system, content, keys of storages, each pickled."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    return b"".join([*parts, pickled, pickle.dumps([], protocol=2)])


def test_what_could_run_code_is_loaded_only_on_the_word_of_its_sum(tmp_path: Path) -> None:
    path, touched = tmp_path / "checkpoint.pt", tmp_path / "touched"
    torch.save({"state_dict": _STATE, "more": _Touch(touched)}, path)
    with pytest.raises(
        SourceError, match=r"is refused, .*\(Unsupported global: GLOBAL .*--trust-pickle [0-9a-f]{64}$"
    ) as refused:
        read_checkpoint(path)
    sha256 = str(refused.value).split()[-1]
    wrong = "0" * 64
    with pytest.raises(SourceError, match=f"not the file that is trusted: its sha256 is {sha256}"):
        read_checkpoint(path, wrong)
    assert not touched.exists()
    state, actual = read_checkpoint(path, sha256.upper())
    assert actual == sha256
    assert state.keys() == _STATE.keys()
    assert touched.exists()


def test_a_wrong_sum_is_refused_for_a_safe_file_too(tmp_path: Path) -> None:
    torch.save(_STATE, tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match="not the file that is trusted"):
        read_checkpoint(tmp_path / "checkpoint.pt", "0" * 64)


@pytest.mark.parametrize("content", [[], {}, {"state_dict": {}}, {"state_dict": None}, {"epoch": 3}, torch.zeros(2)])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match="holds no weights"):
        read_checkpoint(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("tensor", [torch.zeros(3).to_sparse(), torch.zeros(3, device="meta")])
def test_a_tensor_that_is_no_table_of_numbers_is_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(_STATE | {"odd": tensor}, tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match="odd is no plain table"):
        read_checkpoint(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("keep", [0, 20, -30])
@pytest.mark.parametrize("trusted", [False, True])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int, trusted: bool) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(_STATE, path)
    path.write_bytes(path.read_bytes()[:keep])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if trusted else None
    with pytest.raises(SourceError, match=r"is refused|is not a readable checkpoint"):
        read_checkpoint(path, sha256)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_checkpoint(tmp_path / "none.pt")
