"""Programs that tests run beside our own: Prometheus' from Debian's package, and linters that come with Python packages."""

import os
import shutil
import sys
from pathlib import Path

import pytest

# Read here: a test finds none of the service's variables in its environment.
_REQUIRED = os.environ.get("DIFFUSION_LINK_REQUIRE_PROMTOOL") == "1"
RUN_DOCKERFILE = os.environ.get("DIFFUSION_LINK_RUN_DOCKERFILE") == "1"
"""Whether the Dockerfile's commands are to be run: minutes, gigabytes, and a package registry."""


def debian_program(name: str) -> str:
    """A program of Debian's package `prometheus`; where there is none the test is skipped, or fails if CI promised it."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if _REQUIRED else pytest.skip)(f"{name} is not installed")
    assert found is not None
    return found


def linter(name: str) -> str:
    """A program that was installed with this Python's packages, or is on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is missing: make setup"
    return found
