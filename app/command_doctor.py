"""`diffusion-link doctor`: what is wrong with this installation, and how to mend it, a line for each check."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from app.doctor import Check, Finding, Level, Visit
from app.doctor_machine import (
    check_audio,
    check_device,
    check_packages,
    check_python,
    check_settings,
    check_threads,
    check_torch,
)
from app.doctor_port import check_port
from app.doctor_service import check_artifact, check_caption, check_keys, check_memory, check_offline
from app.local_files import FAILED_STATUS
from app.output import print_json

CHECKS = (
    Check("python", check_python),
    Check("packages", check_packages),
    Check("settings", check_settings),
    Check("torch", check_torch),
    Check("device", check_device, ("settings", "torch")),
    Check("threads", check_threads, ("settings", "torch")),
    Check("audio", check_audio),
    Check("artifact", check_artifact, ("settings",)),
    Check("offline", check_offline, ("artifact", "torch")),
    Check("memory", check_memory, ("offline", "device")),
    Check("keys", check_keys, ("settings",)),
    Check("port", check_port, ("settings",)),
    Check("caption", check_caption, ("packages", "audio", "memory")),
)
"""All of them, in an order in which each comes after those that it needs."""

_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "wrong": "bold red", "skipped": "dim"}
_INDENT = " " * 20


def doctor(flags: Mapping[str, Any], *, as_json: bool) -> int:
    """Make all checks, and print each as it is made; returns the exit status."""
    findings = []
    for check, finding in examine(Visit(flags, os.environ), CHECKS):
        if as_json:
            print_json({"check": check.name, **asdict(finding)})
        else:
            _print(check.name, finding)
        findings.append(finding)
    if not as_json:
        print(_summary([finding.level for finding in findings]))
    return FAILED_STATUS if any(finding.level == "wrong" for finding in findings) else 0


def examine(visit: Visit, checks: Sequence[Check]) -> Iterator[tuple[Check, Finding]]:
    """Make the checks in their order; one that needs another that is wrong is skipped."""
    blame: dict[str, set[str]] = {}
    for check in checks:
        reasons = set().union(*(blame.get(name, set()) for name in check.needs))
        if reasons:
            finding = Finding("skipped", f"not checked, because of {', '.join(sorted(reasons))}")
        else:
            finding = _looked(check, visit)
        if finding.level == "wrong":
            reasons = {check.name}
        blame[check.name] = reasons
        yield check, finding


def _looked(check: Check, visit: Visit) -> Finding:
    try:
        return check.look(visit)
    # Whatever is the matter with a machine: the other checks may tell why.
    except Exception as error:
        found = f"cannot be checked: {type(error).__name__}: {error}"
        return Finding("wrong", found, "report this line as a fault of diffusion-link")


def _summary(levels: Sequence[Level]) -> str:
    names = {"wrong": "wrong", "warning": "doubtful", "skipped": "not checked"}
    said = [f"{levels.count(level)} {name}" for level, name in names.items() if level in levels]
    return f"{len(levels)} checks: {', '.join(said) or 'all is well'}"


def _print(name: str, finding: Finding) -> None:
    text = Text.assemble((f"{finding.level:<8}", _STYLES[finding.level]), f"  {name:<8}  {_plain(finding.found)}")
    if finding.mend:
        text.append(f"\n{_INDENT}→ {_plain(finding.mend)}")
    Console().print(text, soft_wrap=True)


def _plain(text: str) -> str:
    """What is printed of what was found; a name of a file or variable could hold a terminal's commands."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
