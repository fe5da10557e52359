"""The doctor's checks of what is installed: Python, packages, torch, device, threads, libsndfile, settings."""

import difflib
import os
import platform
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from app.doctor import Finding, Visit
from app.settings import ServiceSettings
from models.errors import DeviceError

_PACKAGE = "diffusion-link"
_PREFIX = "DIFFUSION_LINK_"
_NO_SETTINGS = ("AAC_PYTHON",)
"""Read by the commands that evaluate."""
_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of all cores that a container may use, and in how many of them (cgroup v2)."""
_TORCH_PAGE = "https://pytorch.org/get-started/locally"


def check_python(_: Visit) -> Finding:
    """Whether Python is one that this package is made for."""
    asked = metadata.metadata(_PACKAGE)["Requires-Python"] or ""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not Requirement(f"python{asked}").specifier.contains(platform.python_version(), prereleases=True):
        return Finding("wrong", f"{found}; needed is {asked}", f"install this package with a Python {asked}")
    return Finding("ok", found)


def check_packages(_: Visit) -> Finding:
    """Whether every package that this one requires is here, in a version that it takes."""
    checked, faults, mends = 0, [], []
    for line in metadata.requires(_PACKAGE) or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            faults.append(f"{line!r} is no requirement")
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        checked += 1
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            faults.append(f"{requirement.name} is missing")
        else:
            if requirement.specifier.contains(version, prereleases=True):
                continue
            faults.append(f"{requirement.name} is {version}, needed is {requirement.specifier}")
        mends.append(f"'{requirement.name}{requirement.specifier}'")
    if faults:
        return Finding(
            "wrong", "; ".join(faults), f"pip install {' '.join(mends)}" if mends else "install this package again"
        )
    return Finding("ok", f"{_PACKAGE} {metadata.version(_PACKAGE)}, {checked} requirements met")


def check_settings(visit: Visit) -> Finding:
    """Whether every variable is of a setting there is, and every setting is one that can be."""
    if visit.fault is not None:
        faults = []
        for fault in visit.fault.errors(include_url=False, include_input=False):
            name = str(fault["loc"][0]) if fault["loc"] else ""
            where = f"--{name}" if name in visit.flags else f"{_PREFIX}{name.upper()}" if name else "settings"
            faults.append(f"{where}: {fault['msg']}")
        return Finding("wrong", "; ".join(faults), "give another value, or none: the default then holds")
    given = sorted(name for name in visit.environ if name.upper().startswith(_PREFIX))
    known = [*(name.upper() for name in ServiceSettings.model_fields), *_NO_SETTINGS]
    unknown = [name for name in given if name[len(_PREFIX) :].upper() not in known]
    if unknown:
        # Without what all of them begin with, which would make any two of them alike.
        near = [difflib.get_close_matches(name[len(_PREFIX) :].upper(), known, n=1) for name in unknown]
        meant = [f"{_PREFIX}{names[0]} for {name}" for name, names in zip(unknown, near, strict=True) if names]
        mend = f"write {', '.join(meant)}" if meant else "unset it; `diffusion-link serve --help` tells of settings"
        return Finding("warning", f"no setting, and without effect: {', '.join(unknown)}", mend)
    return Finding("ok", f"{len(given)} variables" + (f": {', '.join(given)}" if given else ", all else is as by default"))


def check_torch(_: Visit) -> Finding:
    """Whether torch, and what else the networks are made of, can be imported."""
    try:
        from models.pipeline import inspect_torch
    # A library that is not there is an OSError.
    except (ImportError, OSError) as error:
        return Finding("wrong", f"cannot be imported: {error}", f"install torch again, as {_TORCH_PAGE} says")
    facts = inspect_torch()
    built = f"built for CUDA {facts.built_for}" if facts.built_for else "built for the CPU"
    return Finding("ok", f"{facts.version}, {built}, sees {', '.join(facts.gpus) or 'no GPU'}")


def check_device(visit: Visit) -> Finding:
    """Whether the device that is asked for is there, or a GPU stands idle."""
    from models.pipeline import inspect_device, inspect_torch

    facts, asked = inspect_torch(), visit.settings.device
    if not facts.built_for:
        reason, mend = "torch was built without CUDA", f"install torch's build for CUDA, as {_TORCH_PAGE} says"
    elif not facts.driver:
        reason, mend = "this machine has no driver of NVIDIA's", "install one; a container is given it with --gpus all"
    elif "too old" in facts.fault:
        reason = facts.fault
        mend = f"update the driver, or install torch's build for an older CUDA than {facts.built_for} ({_TORCH_PAGE})"
    else:
        reason = facts.fault or "torch sees no GPU"
        mend = "see whether nvidia-smi lists it, and whether CUDA_VISIBLE_DEVICES hides it"
    try:
        found, _ = inspect_device(asked, visit.settings.precision)
    except DeviceError as error:
        if asked.startswith("cuda") and not facts.gpus:
            return Finding("wrong", f"{error}; {reason}", f"{mend}; or take --device cpu")
        return Finding("wrong", str(error), "take --device auto and --precision auto")
    if asked == "auto" and facts.driver and not facts.gpus:
        return Finding("warning", f"{found}, although there is a driver of NVIDIA's: {reason}", mend)
    return Finding("ok", f"{asked} is {found}")


def check_threads(visit: Visit) -> Finding:
    """Whether there are as many threads as cores; more of them only wait for each other."""
    from models.pipeline import inspect_torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads, quota = visit.settings.cpu_threads or inspect_torch().threads, _quota()
    allowed = min(cores, quota or cores)
    found = f"{threads} for one computation, {cores} cores" + (f", of which a container may use {quota}" if quota else "")
    if threads > allowed:
        return Finding("warning", found, f"set {_PREFIX}CPU_THREADS={allowed}")
    return Finding("ok", found)


def check_audio(_: Visit) -> Finding:
    """Whether every format of sounds can be read."""
    try:
        from models.audio import FORMATS, libsndfile_formats
    except (ImportError, OSError) as error:
        return Finding("wrong", f"libsndfile cannot be loaded: {error}", "pip install --force-reinstall soundfile")
    version, formats = libsndfile_formats()
    found = f"libsndfile {version} reads {', '.join(formats)}"
    if missing := [name for name in FORMATS if name not in formats]:
        mend = "pip install --upgrade soundfile, which brings a libsndfile of 1.1 or later"
        return Finding("warning" if missing == ["MP3"] else "wrong", f"{found}, and no {', '.join(missing)}", mend)
    return Finding("ok", found)


def _quota() -> int | None:
    """Cores that a container may use; None where there is no such limit."""
    try:
        quota, period = _QUOTA_FILE.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    # Not there, "max", or nothing that the kernel would write.
    except (OSError, ValueError, ZeroDivisionError):
        return None
