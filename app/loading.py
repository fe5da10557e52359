"""From settings to a pipeline: the one place where service and commands load an artifact."""

from collections.abc import Callable
from pathlib import Path

from app.settings import ServiceSettings
from models.pipeline import Pipeline

Load = Callable[[Path, str, int | None, str, bool], Pipeline]
"""Like `Pipeline.load`: artifact directory, device, CPU threads, precision, whether to compile."""


def load_pipeline(settings: ServiceSettings, load: Load | None = None) -> Pipeline:
    """Load the artifact of the settings, by `Pipeline.load` if nothing else is said.

    Raises:
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there or too small, or cannot do what was asked of it.
    """
    load = load or Pipeline.load
    return load(settings.artifact_folder, settings.device, settings.cpu_threads, settings.precision, settings.compile)
