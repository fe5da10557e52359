"""Released models come from folders or the hub; what is neither is told plainly."""

from pathlib import Path
from typing import Any

import pytest

from models import hub
from models.errors import SourceError
from models.hub import fetch_source


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    source = fetch_source(str(tmp_path))
    assert (source.name, source.revision, source.folder) == (str(tmp_path), None, tmp_path)


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no revision 'main'"):
        fetch_source(str(tmp_path), "main")


@pytest.mark.parametrize("name", ["./gone", "/gone/away", "~/gone", "a/b/c"])
def test_what_can_only_be_a_path_is_never_asked_of_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(SourceError, match="no such folder"):
        fetch_source(name)


def test_a_hub_id_is_downloaded_without_pickles_and_known_by_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(tmp_path / "c0ffee")

    monkeypatch.setattr(hub, "snapshot_download", download)
    source = fetch_source("laion/clap-htsat-unfused", "main")
    assert (source.name, source.revision, source.folder) == ("laion/clap-htsat-unfused", "c0ffee", tmp_path / "c0ffee")
    assert (asked["name"], asked["revision"]) == ("laion/clap-htsat-unfused", "main")
    assert asked["local_files_only"] is False
    assert "*.safetensors" in asked["allow_patterns"]
    assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in asked["allow_patterns"])
    fetch_source("laion/clap-htsat-unfused", weights=False)
    assert "*.safetensors" not in asked["allow_patterns"]
    assert "*.json" in asked["allow_patterns"]
    fetch_source("laion/clap-htsat-unfused", offline=True)
    assert asked["local_files_only"] is True


@pytest.mark.parametrize("name", ["nobody/has-this-model-here", "not a name", "a" * 5_000])
def test_what_the_hub_does_not_give_is_an_error_that_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=name):
        fetch_source(name)
