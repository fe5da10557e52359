"""From settings to a pipeline."""

from pathlib import Path

import pytest

from app.loading import load_pipeline
from app.settings import ServiceSettings
from models.artifact import EMBEDDED_ARTIFACT
from models.pipeline import Pipeline
from tests.app.fakes import FakePipeline


def test_everything_that_settings_say_about_it_is_asked_for(pipeline: FakePipeline) -> None:
    settings = ServiceSettings(artifact=Path("mine"), device="cuda:1", cpu_threads=2, precision="fp16", compile=True)
    assert load_pipeline(settings, pipeline.load) is pipeline
    assert pipeline.loaded == (Path("mine"), "cuda:1", 2, "fp16", True)


def test_the_real_one_of_the_package_is_what_is_loaded_otherwise(
    pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pipeline, "load", pipeline.load)
    load_pipeline(ServiceSettings())
    assert pipeline.loaded == (EMBEDDED_ARTIFACT, "auto", None, "auto", False)


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSION_LINK_PRECISION", "bf16")
    monkeypatch.setenv("DIFFUSION_LINK_COMPILE", "1")
    settings = ServiceSettings()
    assert (settings.precision, settings.compile) == ("bf16", True)
