"""config.json files of bridges and decoders: written whole, and strict when they are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from models.errors import ArtifactError, validation_faults

CONFIG_FILE = "config.json"

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def write_config(config: BaseModel, directory: Path) -> None:
    """Write all settings into `directory`, defaults too; the directory is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config.model_dump(mode="json"), indent=2)
    (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def read_config(directory: Path, validate: Callable[[bytes], ConfigT]) -> ConfigT:
    """Read the settings of `directory` with pydantic's `validate_json`.

    Raises:
        ArtifactError: the file is missing or damaged, or a setting is wrong, unknown or left out.
    """
    path = directory / CONFIG_FILE
    try:
        content = path.read_bytes()
        config = validate(content)
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ArtifactError(path, "; ".join(validation_faults(error, "file"))) from error
    # Defaults serve recipes. On disk all settings are spelled out: a later default must not change a stored model.
    if json.loads(content) != config.model_dump(mode="json"):
        raise ArtifactError(path, "leaves settings to their defaults")
    return config
