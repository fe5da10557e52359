"""References to released models: found again wherever one works, and refused when a single file has changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import models.decoder.reference as reference_module
from models.decoder.reference import LanguageModelReference, read_reference, write_reference
from models.errors import ArtifactError, SourceError
from models.hub import Source, fetch_source
from tests.models.released import write_released


@pytest.fixture(scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_released(tmp_path_factory.mktemp("released"))


@pytest.fixture
def released(_written: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "llama"
    folder.mkdir()
    for path in _written.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _of(folder: Path) -> LanguageModelReference:
    return LanguageModelReference.of(fetch_source(str(folder)), adapted=True)


def test_a_reference_survives_the_disk_and_finds_its_model(released: Path, tmp_path: Path) -> None:
    reference = _of(released)
    write_reference(reference, tmp_path / "decoder")
    assert read_reference(tmp_path / "decoder") == reference
    assert read_reference(tmp_path / "decoder").folder() == released
    assert {"config.json", "model.safetensors", "tokenizer.json"} < reference.files.keys()


def test_a_relative_folder_is_found_from_elsewhere(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(released.parent)
    reference = _of(Path(released.name))
    monkeypatch.chdir("/")
    assert reference.folder() == released
    assert reference.revision is None


def test_what_is_no_part_of_a_language_model_may_change(released: Path) -> None:
    (released / "README.md").write_text("before")
    reference = _of(released)
    (released / "README.md").write_text("after")
    (released / "onnx").mkdir()
    assert reference.folder() == released


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: (folder / "added_tokens.json").write_text("{}"), "added_tokens.json"),
    ],
)
def test_a_model_that_changed_is_refused(released: Path, change: Callable[[Path], object], named: str) -> None:
    reference = _of(released)
    change(released)
    with pytest.raises(SourceError, match=f"trained on: {named}"):
        reference.folder()


def test_a_model_that_moved_is_refused(released: Path) -> None:
    reference = _of(released)
    released.rename(released.with_name("moved"))
    with pytest.raises(SourceError, match="no such folder"):
        reference.folder()


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone cannot be read: No such file"):
        LanguageModelReference.of(Source("gone", None, tmp_path / "gone"), adapted=False)


def test_a_model_of_the_hub_is_asked_for_by_its_commit(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, revision: str | None = None, *, offline: bool) -> Source:
        asked.append((name, revision, offline))
        return Source(name, "abc123", released)

    reference = LanguageModelReference.of(Source("team/model", "abc123", released), adapted=False)
    monkeypatch.setattr(reference_module, "fetch_source", fetch)
    assert reference.folder() == released
    assert reference.folder(offline=True) == released
    assert asked == [("team/model", "abc123", False), ("team/model", "abc123", True)]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"source": "a"}', '{"source": "", "revision": null, "files": {}, "adapted": 1}']
)
def test_what_is_no_reference_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "reference.json").write_text(content)
    with pytest.raises(ArtifactError) as refused:
        read_reference(tmp_path)
    assert refused.value.path == tmp_path / "reference.json"


def test_a_missing_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_reference(tmp_path)


def test_the_file_says_what_it_is(released: Path, tmp_path: Path) -> None:
    write_reference(_of(released), tmp_path / "decoder")
    content = json.loads((tmp_path / "decoder" / "reference.json").read_text())
    assert (content["source"], content["revision"], content["adapted"]) == (str(released), None, True)
