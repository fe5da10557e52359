"""Manifests: what is written is verified, and whatever is wrong with a directory is refused by name and reason."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models.artifact import EMBEDDED_ARTIFACT, ArtifactManifest, read_manifest, verify_artifact, write_manifest
from models.errors import ArtifactError

_FACTS: dict[str, Any] = {
    "name": "tiny",
    "version": "1",
    "code_revision": "abc",
    "licence": "MIT",
    "recipe": {"clap": {"dim": 16}},
    "training_data": {"scenes": 20, "sources": ["ä"]},
    "metrics": {"top1": 0.12},
}
_WEIGHTS = "clap/model.safetensors"


def _write(directory: Path, **changes: Any) -> ArtifactManifest:
    return write_manifest(directory, **{**_FACTS, **changes})


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    directory = tmp_path / "artifact"
    for name in (_WEIGHTS, "clap/config.json", "bridge/config.json", "decoder/language_model/tokenizer.json"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (directory / "README.md").write_text("# card\n", encoding="utf-8")
    _write(directory)
    return directory


def _edit(directory: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "artifact.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_is_written_is_verified(artifact: Path) -> None:
    created = datetime(2025, 1, 2, tzinfo=UTC)
    written = _write(artifact, created=created)
    assert verify_artifact(artifact) == read_manifest(artifact) == written
    assert written.created == created
    assert written.files[_WEIGHTS] == hashlib.sha256(_WEIGHTS.encode()).hexdigest()
    assert sorted(written.files) == [
        "bridge/config.json",
        "clap/config.json",
        _WEIGHTS,
        "decoder/language_model/tokenizer.json",
    ]
    assert {name: getattr(written, name) for name in _FACTS} == _FACTS
    assert not list(artifact.glob("*.part"))


def test_the_time_of_making_is_now_unless_given(artifact: Path) -> None:
    created = read_manifest(artifact).created
    assert created.tzinfo is not None
    assert created >= datetime(2025, 1, 1, tzinfo=UTC)


def test_a_complete_artifact_passes(tiny_artifact: Path) -> None:
    assert {name.split("/")[0] for name in verify_artifact(tiny_artifact).files} == {"clap", "bridge", "decoder"}


def test_the_embedded_artifact_is_in_the_package() -> None:
    assert (EMBEDDED_ARTIFACT.parent / "artifact.py").is_file()


def test_the_model_card_may_be_edited_or_left_out(artifact: Path) -> None:
    (artifact / "README.md").write_text("other", encoding="utf-8")
    verify_artifact(artifact)
    (artifact / "README.md").unlink()
    verify_artifact(artifact)


def test_a_link_to_the_whole_directory_is_fine(artifact: Path) -> None:
    link = artifact.parent / "current"
    link.symlink_to(artifact)
    assert verify_artifact(link).name == "tiny"


@pytest.mark.parametrize(
    ("damage", "name", "reason"),
    [
        (lambda d: (d / _WEIGHTS).unlink(), _WEIGHTS, "is missing"),
        (lambda d: (d / _WEIGHTS).write_text("clap/model.safetensorz"), _WEIGHTS, "is damaged: its sha256 is"),
        (lambda d: (d / _WEIGHTS).write_bytes(b""), _WEIGHTS, "is damaged"),
        (lambda d: (d / "clap/extra.bin").write_bytes(b"x"), "clap/extra.bin", "does not belong here"),
        (lambda d: (d / ".hidden").write_bytes(b"x"), ".hidden", "does not belong here"),
        (lambda d: (d / "clap/README.md").write_bytes(b"x"), "clap/README.md", "does not belong here"),
        (lambda d: (d / "clap/link").symlink_to(d / _WEIGHTS), "clap/link", "is a symbolic link"),
        (lambda d: (d / "link").symlink_to(d / "clap"), "link", "is a symbolic link"),
        (lambda d: (d / "dangling").symlink_to(d / "nowhere"), "dangling", "is a symbolic link"),
        (lambda d: os.mkfifo(d / "pipe"), "pipe", "is not a plain file"),
        (lambda d: (d / "artifact.json").unlink(), "artifact.json", "cannot be read: No such file"),
    ],
)
def test_a_damaged_directory_is_refused_by_name(
    artifact: Path, damage: Callable[[Path], object], name: str, reason: str
) -> None:
    damage(artifact)
    with pytest.raises(ArtifactError, match=reason) as refused:
        verify_artifact(artifact)
    assert refused.value.path == artifact / name
    assert str(artifact / name) in str(refused.value)


def test_a_listed_file_behind_a_link_is_refused(artifact: Path, tmp_path: Path) -> None:
    shutil.move(artifact / "clap", tmp_path / "elsewhere")
    (artifact / "clap").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="symbolic link"):
        verify_artifact(artifact)


def test_a_file_that_cannot_be_read_is_refused(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(ArtifactError, match="cannot be read: Input/output error"):
        verify_artifact(artifact)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("x")])
def test_what_is_no_directory_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "nothing"
    make(path)
    for use in (read_manifest, verify_artifact, _write):
        with pytest.raises(ArtifactError, match="is not a directory"):
            use(path)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.json",
        "clap/../../secret.json",
        "/etc/passwd.json",
        "clap//config.json",
        "./clap/config.json",
        "clap/",
        "",
        ".",
        "..",
        "clap\\config.json",
        "C:config.json",
        "clap/con\nfig.json",
        "clap/config.json\0",
        "artifact.json",
        "README.md",
        "clap/pytorch_model.bin",
        "clap/code.py",
        "clap/.json",
    ],
)
def test_an_unsafe_name_is_refused(artifact: Path, name: str) -> None:
    _edit(artifact, lambda content: content["files"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match="files") as refused:
        read_manifest(artifact)
    assert refused.value.path == artifact / "artifact.json"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda c: c.update(schema_version=2), "schema version 2; this program reads 1"),
        (lambda c: c.update(schema_version="1"), "schema version '1'"),
        (lambda c: c.update(schema_version=True), "schema version True"),
        (lambda c: c.pop("schema_version"), "schema version None"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c.pop("licence"), "licence"),
        (lambda c: c.update(name="../x"), "name"),
        (lambda c: c.update(name=3), "name"),
        (lambda c: c.update(created="2025-01-01T00:00:00"), "created"),
        (lambda c: c.update(created=1735689600), "created"),
        (lambda c: c.update(files={}), "files"),
        (lambda c: c.update(files=[]), "files"),
        (lambda c: c["files"].update({_WEIGHTS: "0" * 63}), r"files.*safetensors"),
        (lambda c: c["files"].update({_WEIGHTS: "A" * 64}), r"files.*safetensors"),
        (lambda c: c["files"].update({_WEIGHTS: "0" * 64 + "\n"}), r"files.*safetensors"),
        (lambda c: c["metrics"].update(top1=float("nan")), "NaN is not a JSON number"),
    ],
)
def test_a_wrong_manifest_is_refused(artifact: Path, edit: Callable[[dict[str, Any]], object], reason: str) -> None:
    _edit(artifact, edit)
    with pytest.raises(ArtifactError, match=reason) as refused:
        verify_artifact(artifact)
    assert refused.value.path == artifact / "artifact.json"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name": "a", "name": "b"}', b'{"schema_version": 1,}', b"[" * 100_000],
)
def test_a_manifest_that_is_no_strict_json_is_refused(artifact: Path, content: bytes) -> None:
    (artifact / "artifact.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"artifact\.json"):
        verify_artifact(artifact)


@pytest.mark.parametrize(
    ("add", "reason"),
    [
        (lambda d: (d / "clap/model.bin").write_bytes(b"x"), "of a kind that no artifact holds"),
        (lambda d: (d / "a\\b.json").write_bytes(b"x"), "not a plain relative path"),
        (lambda d: (d / "link.json").symlink_to(d / _WEIGHTS), "symbolic link"),
    ],
)
def test_a_manifest_is_not_written_for_what_no_artifact_holds(
    artifact: Path, add: Callable[[Path], object], reason: str
) -> None:
    before = (artifact / "artifact.json").read_bytes()
    add(artifact)
    with pytest.raises(ArtifactError, match=reason):
        _write(artifact)
    assert (artifact / "artifact.json").read_bytes() == before


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"licence": ""}, {"created": datetime(2025, 1, 1)}, {"metrics": {"a": float("inf")}}]
)
def test_a_manifest_is_not_written_of_wrong_facts(artifact: Path, changes: dict[str, Any]) -> None:
    before = (artifact / "artifact.json").read_bytes()
    with pytest.raises(ValueError, match=r"valid|compliant"):
        _write(artifact, **changes)
    assert (artifact / "artifact.json").read_bytes() == before


def test_a_manifest_never_changes(artifact: Path) -> None:
    manifest = read_manifest(artifact)
    with pytest.raises(ValidationError, match="frozen"):
        manifest.name = "other"  # type: ignore[misc]
