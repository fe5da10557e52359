"""API keys: what a file of them may hold, and how they are compared."""

import hmac
from pathlib import Path

import pytest

from app import cli, command_serve, keys
from app.keys import MAX_FILE_BYTES, ApiKeys, KeysError
from models.pipeline import Pipeline
from tests.app.fakes import FakePipeline

_KEYS = ["alpha-0123456789abcdef", "beta+0123456789/abcdef==", "gamma.0123456789~abcdef"]


@pytest.mark.parametrize(("key", "allowed"), [(_KEYS[0], True), (_KEYS[2], True), ("wrong", False), ("\udc80é", False)])
def test_a_key_is_compared_with_every_digest(monkeypatch: pytest.MonkeyPatch, key: str, allowed: bool) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(keys, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))
    assert ApiKeys([key.encode() for key in _KEYS]).allows(key) is allowed
    assert len({right for _, right in compared}) == len(compared) == len(_KEYS)
    assert {len(digest) for pair in compared for digest in pair} == {32}


def test_no_key_is_kept_and_none_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(b"# of the team\n\n  " + "\r\n".join(_KEYS).encode() + b"\t\n")
    loaded = ApiKeys.load(path)
    assert not loaded.allows(None)
    assert all(loaded.allows(key) for key in _KEYS)
    assert not any(part in repr(vars(loaded)) for key in _KEYS for part in (key, key[:8]))


_SECRET = "secret-0123456789"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "holds no key"),
        (b"# only\n\n  \n# comments", "holds no key"),
        (f"{_KEYS[0]}\nsecret-01234567".encode(), "line 2: a key is at least 16"),
        (f"# a\n\n{_SECRET} {_SECRET}".encode(), "line 3: a key is"),
        (f"{_SECRET} # of Ann".encode(), "line 1: a key is"),
        (f"{_SECRET}é".encode(), "line 1: a key is"),
        (f"{_SECRET}\x00".encode(), "line 1: a key is"),
        (f"\ufeff{_SECRET}".encode(), "line 1: a key is"),
        (_SECRET.encode("utf-16"), "line 1: a key is"),
        (_SECRET.encode() * MAX_FILE_BYTES, f"may have {MAX_FILE_BYTES} bytes"),
    ],
)
def test_a_file_at_fault_is_named_and_its_keys_are_not(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(content)
    with pytest.raises(KeysError) as caught:
        ApiKeys.load(path)
    assert str(caught.value).startswith(f"{path}")
    assert fault in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "fault"), [("missing.txt", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(KeysError, match=fault):
        ApiKeys.load(tmp_path / name)


def test_a_file_as_large_as_may_be(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes((_KEYS[0] + "\n").encode() + b"#" * (MAX_FILE_BYTES - len(_KEYS[0]) - 1))
    assert ApiKeys.load(path).allows(_KEYS[0])


def test_a_bad_file_ends_the_start_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("short\n", encoding="ascii")
    monkeypatch.setattr(command_serve, "configure_logging", lambda: None)
    monkeypatch.setattr(Pipeline, "load", FakePipeline().load)
    monkeypatch.setenv("DIFFUSION_LINK_API_KEYS_FILE", str(path))
    assert cli.main(["serve", "--port", "0"]) == cli.USAGE_STATUS
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"diffusion-link: {path}, line 1: a key is at least")
