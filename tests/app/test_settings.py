"""ServiceSettings: from the environment, frozen, and checked against each other."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import ServiceSettings


def test_variables_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSION_LINK_ARTIFACT", "/models/mine")
    monkeypatch.setenv("DIFFUSION_LINK_PORT", "9")
    monkeypatch.setenv("DIFFUSION_LINK_MAX_DURATION_S", "1.5")
    settings = ServiceSettings()
    assert (settings.artifact, settings.port, settings.max_duration_s) == (Path("/models/mine"), 9, 1.5)
    assert ServiceSettings(port=10).port == 10


def test_they_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ServiceSettings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "settings", [{"port": 65_536}, {"max_files": 65}, {"request_timeout_s": 0}, {"prot": 1}, {"max_upload_bytes": 0}]
)
def test_what_cannot_be_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings(**settings)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in ServiceSettings.model_fields.values())


def test_the_longest_texts_fit_into_a_body() -> None:
    settings = ServiceSettings(max_texts=2, max_text_chars=3)
    escaped = '{"texts":["\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00","\\ud83d\\ude00\\ud83d\\ude00\\ud83d\\ude00"]}'
    assert len(escaped) <= settings.max_text_body_bytes
