"""`diffusion-link bench`: runs `benchmarks/serving.py` of the checkout that this package is in, and shows its figures."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from app.flags import UsageError
from app.output import print_json, table_console
from models.artifact import EMBEDDED_ARTIFACT, verify_artifact

_ROOT = Path(__file__).parent.parent
_ASKED = ("aiohttp", "matplotlib")
"""What the optional packages [bench] bring."""


def bench(parsed: argparse.Namespace) -> int:
    """Measure, with progress on standard error, and print the figures; returns the exit status of the benchmark.

    Raises:
        UsageError: this is no checkout, or lacks what measuring needs.
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there.
    """
    root = _checkout()
    if not parsed.fake:
        _look_at(parsed.artifact or EMBEDDED_ARTIFACT, parsed.device)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if parsed.out is None else parsed.out.absolute()
        written = folder / ("serving-fake.json" if parsed.fake else "serving.json")
        # What an earlier run wrote there would be taken for what this one measured.
        written.unlink(missing_ok=True)
        status = _run([sys.executable, "-m", "benchmarks.serving", *_flags(parsed), "--out", str(folder)], root)
        if not written.is_file():
            # It has said why on standard error.
            return status or 1
        measured = json.loads(written.read_text(encoding="utf-8"))
    if parsed.json:
        for row in measured["rows"]:
            print_json(_figure(row))
        print_json(_verdict(measured) | {"written": None if parsed.out is None else str(written)})
    else:
        _show(table_console(), measured)
        if parsed.out is not None:
            print(f"Written to {written} and {written.with_suffix('.png').name}")
    return status


def _checkout() -> Path:
    """The folder that has the benchmarks; an installed package does not bring them."""
    if not (_ROOT / "benchmarks" / "serving.py").is_file():
        raise UsageError(
            f"the benchmarks are not beside this package ({_ROOT}), since they are no part of it; take a checkout of the "
            "repository, and there: pip install -e '.[bench]'"
        )
    if missing := [name for name in _ASKED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"measuring needs {' and '.join(missing)}: pip install -e '.[bench]' in {_ROOT}")
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("measuring needs Linux, which can give service and client cores of their own")
    return _ROOT


def _look_at(artifact: Path, device: str) -> None:
    """Tell in one line what would else be a traceback in the log of a process of the benchmark."""
    from models.pipeline import inspect_device

    verify_artifact(artifact)
    inspect_device(device, "auto")


def _flags(parsed: argparse.Namespace) -> list[str]:
    flags = [] if parsed.full else ["--repeats", "1", "--memory-requests", "0"]
    if parsed.fake:
        return [*flags, "--fake", parsed.fake]
    flags += ["--device", parsed.device, "--artifact"]
    return flags if parsed.artifact is None else [*flags, str(parsed.artifact.absolute())]


def _run(command: Sequence[str], folder: Path) -> int:
    """Run it; where we are stopped, it is told to stop too, and given the time to stop what it has started."""
    # Its table is not wanted: ours is drawn from what it writes.
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _figure(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "median", "low", "high", "unit", "target", "met")
    return {"figure" if name == "name" else name: row[name] for name in names}


def _verdict(measured: Mapping[str, Any]) -> dict[str, Any]:
    asked = [row for row in measured["rows"] if row["met"] is not None]
    return {
        "model": measured["subject"]["model"],
        "device": measured["subject"]["device_name"],
        "requests": measured["requests"],
        "faults": measured["faults"],
        "targets": len(asked),
        "targets_met": sum(row["met"] for row in asked),
        "wall_s": measured["wall_s"],
    }


def _show(console: Console, measured: Mapping[str, Any]) -> None:
    verdict = _verdict(measured)
    names = ("Median", "Lowest", "Highest", "Unit", "Target", "Met")
    table = Table(
        Column("", overflow="fold"),
        *(Column(name, justify="right", overflow="fold") for name in names),
        title=f"{verdict['model']} on {verdict['device']}",
        title_justify="left",
    )
    for row in measured["rows"]:
        figures = (f"{row[name]:.0f}" if abs(row[name]) >= 100 else f"{row[name]:.3g}" for name in ("median", "low", "high"))
        met = {None: "", True: "met", False: "[red]missed[/red]"}[row["met"]]
        table.add_row(row["name"], *figures, row["unit"], row["target"] or "", met)
    console.print(table)
    for fault, count in verdict["faults"].items():
        print(f"{count} × {fault}")
    lost = sum(verdict["faults"].values())
    print(f"{verdict['requests']} requests, {lost} of them lost or wrong, in {verdict['wall_s']:.0f} s")
    print(f"{verdict['targets_met']} of {verdict['targets']} targets met")
