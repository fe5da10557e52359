"""The sum by which a file is known: in artifacts, references to released models, and what a stage was made from."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Read a file to its end, in pieces; the sum in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
