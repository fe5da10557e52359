"""A visit's settings, and what is skipped, told and returned."""

import json
from pathlib import Path

import pytest

from app import cli, command_doctor
from app.command_doctor import CHECKS, doctor, examine
from app.doctor import Check, Finding, Visit, size_of
from app.settings import ServiceSettings
from models.artifact import EMBEDDED_ARTIFACT


def _found(name: str, level: str, needs: tuple[str, ...] = (), mend: str = "") -> Check:
    return Check(name, lambda _: Finding(level, f"{name} is {level}", mend), needs)  # type: ignore[arg-type]


def _broken(_: Visit) -> Finding:
    raise ZeroDivisionError("secret")


def test_a_visit_knows_flags_variables_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSION_LINK_PORT", "9000")
    visit = Visit({"host": "::1"}, {})
    assert (visit.settings.host, visit.settings.port, visit.fault) == ("::1", 9000, None)
    assert visit.artifact == EMBEDDED_ARTIFACT
    assert Visit({"artifact": Path("mine")}, {}).artifact == Path("mine")
    wrong = Visit({"port": -1}, {})
    assert wrong.fault is not None
    assert wrong.settings.port == ServiceSettings.model_fields["port"].default


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0.0 MiB"), (3 * 2**19, "1.5 MiB"), (2**30, "1.0 GiB"), (5 * 2**29, "2.5 GiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size_of(count) == text


def test_what_needs_something_wrong_is_skipped() -> None:
    checks = [
        _found("a", "wrong"),
        _found("b", "warning"),
        _found("c", "ok", ("b",)),
        _found("d", "ok", ("a", "b")),
        _found("e", "ok", ("d",)),
        Check("f", _broken),
    ]
    found = {check.name: finding for check, finding in examine(Visit({}, {}), checks)}
    assert [finding.level for finding in found.values()] == ["wrong", "warning", "ok", "skipped", "skipped", "wrong"]
    assert found["d"].found == "not checked, because of a"
    assert found["e"].found == "not checked, because of a", "the fault, not what it hinders"
    assert found["f"].found == "cannot be checked: ZeroDivisionError: secret"


def test_each_check_comes_after_those_that_it_needs() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen, check.name
        seen.add(check.name)
    assert len(seen) == len(CHECKS)


def test_lines_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checks = (_found("one", "ok"), _found("two", "warning", mend="[red]mend\x1b[2J it"), _found("three", "wrong"))
    monkeypatch.setattr(command_doctor, "CHECKS", checks)
    assert doctor({}, as_json=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok        one       one is ok",
        "warning   two       two is warning",
        " " * 20 + "→ [red]mend\N{REPLACEMENT CHARACTER}[2J it",
        "wrong     three     three is wrong",
        "3 checks: 1 wrong, 1 doubtful",
    ]
    monkeypatch.setattr(command_doctor, "CHECKS", checks[:2])
    assert doctor({}, as_json=False) == 0, "a warning is no fault"
    monkeypatch.setattr(command_doctor, "CHECKS", checks[:1])
    doctor({}, as_json=False)
    assert capsys.readouterr().out.endswith("1 checks: all is well\n")
    monkeypatch.setattr(command_doctor, "CHECKS", (checks[2], _found("four", "ok", ("three",))))
    doctor({}, as_json=False)
    assert capsys.readouterr().out.endswith("2 checks: 1 wrong, 1 not checked\n")


def test_a_line_is_not_broken_at_the_width_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(command_doctor, "CHECKS", (Check("a", lambda _: Finding("ok", "word " * 40 + "end")),))
    doctor({}, as_json=False)
    assert "word end" in capsys.readouterr().out.splitlines()[0]


def test_objects_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command_doctor, "CHECKS", (_found("a", "wrong", mend="this"), _found("b", "ok", ("a",))))
    assert cli.main(["doctor", "--json"]) == 1
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"check": "a", "level": "wrong", "found": "a is wrong", "mend": "this"},
        {"check": "b", "level": "skipped", "found": "not checked, because of a", "mend": ""},
    ]


def test_all_is_well_with_a_good_artifact(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--artifact", str(tiny_artifact), "--device", "cpu", "--port", "0", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [fact["check"] for fact in found] == [check.name for check in CHECKS]
    assert not [fact for fact in found if fact["level"] in ("wrong", "skipped")]
    assert found[-1]["found"].startswith("a tone is ")


def test_a_bad_artifact_is_told_and_the_rest_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--artifact", str(tmp_path / "none"), "--port", "0", "--json"]) == 1
    found = {fact["check"]: fact for fact in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["artifact"]["level"] == "wrong"
    assert found["artifact"]["found"] == f"{tmp_path / 'none'}: is not a directory"
    assert "diffusion-link export" in found["artifact"]["mend"]
    assert {name for name, fact in found.items() if fact["level"] == "skipped"} == {"offline", "memory", "caption"}
    assert found["port"]["level"] == "ok"
