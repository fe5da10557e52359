"""The sum by which a file is known."""

import hashlib
from pathlib import Path

import pytest

from models.checksum import sha256_of


def test_it_is_sha256_of_all_that_is_in_the_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    (tmp_path / "weights").write_bytes(content)
    assert sha256_of(tmp_path / "weights") == hashlib.sha256(content).hexdigest()


def test_what_cannot_be_read_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "gone")
