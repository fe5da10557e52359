"""The doctor's checks of what is served: artifact, hub, memory, API keys, and a caption."""

import asyncio
import ipaddress
import math
import struct
import tempfile
import time
import wave
from pathlib import Path

from app.doctor import Finding, Visit, size_of
from app.schemas import CaptionOptions, ErrorDetail
from models.artifact import EMBEDDED_ARTIFACT, MANIFEST_FILE, verify_artifact
from models.errors import ArtifactError, DiffusionLinkError

_WORKING_BYTES = 512 * 2**20
"""What Python and the libraries take, and a small batch, roughly."""
_MEMORY_FILE, _CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
_OTHERS = 0o077
_SECRETS = Path("/run/secrets")
"""Where containers are given files that nobody outside of them sees."""
_RATE_HZ, _TONE_HZ = 48_000, 440


def check_artifact(visit: Visit) -> Finding:
    """Whether the artifact is there, and every file of it is what it was."""
    folder = visit.artifact
    try:
        manifest = verify_artifact(folder)
    except ArtifactError as error:
        if folder == EMBEDDED_ARTIFACT:
            return Finding("wrong", str(error), "install the package again: this file of it was changed")
        if not (folder / MANIFEST_FILE).is_file():
            return Finding("wrong", str(error), "give --artifact a folder that `diffusion-link export` wrote")
        return Finding("wrong", str(error), "copy the artifact again from where it was made, or export it again")
    size = size_of(sum((folder / name).stat().st_size for name in manifest.files))
    return Finding("ok", f"{manifest.name} {manifest.version}, {len(manifest.files)} files of {size}, every sum is right")


def check_offline(visit: Visit) -> Finding:
    """Whether the service starts without a network."""
    reference = visit.reference
    if reference is None:
        return Finding("ok", "nothing of the artifact comes from a hub")
    if reference.fault:
        mend = "put that folder back there"
        if reference.revision:
            mend = f"with a network, once: hf download {reference.source} --revision {reference.revision}"
        return Finding("wrong", f"the artifact needs a language model: {reference.fault}", mend)
    found = f"{reference.source} is on this machine, and what the artifact was made with"
    offline = visit.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if reference.revision and not offline:
        return Finding("warning", f"{found}, but the hub is asked at every start", "set HF_HUB_OFFLINE=1")
    return Finding("ok", found)


def check_memory(visit: Visit) -> Finding:
    """Whether the weights, in 32 bits where they are stored in 16, have room."""
    from models.pipeline import inspect_device

    reference = visit.reference
    stored = sum(path.stat().st_size for path in visit.artifact.rglob("*.safetensors"))
    needed = 2 * (stored + (reference.size if reference else 0)) + _WORKING_BYTES
    _, on_device = inspect_device(visit.settings.device, visit.settings.precision)
    free = _free_ram() if on_device is None else on_device
    if free is None:
        return Finding("ok", f"at most {size_of(needed)} needed; how much is free cannot be told here")
    found = f"{size_of(free)} of {'RAM' if on_device is None else 'device memory'} free, at most {size_of(needed)} needed"
    if free < needed:
        return Finding("warning", found, "end other programs, take a smaller artifact, or see `diffusion-link plan`")
    return Finding("ok", found)


def check_keys(visit: Visit) -> Finding:
    """Whether the file of API keys can be used, and by the service alone."""
    from app.keys import ApiKeys, KeysError

    path = visit.settings.api_keys_file
    if path is None:
        if _is_loopback(visit.settings.host):
            return Finding("ok", "none asked for; only this machine can connect")
        mend = "set DIFFUSION_LINK_API_KEYS_FILE, unless something in front of the service asks who they are"
        return Finding("warning", f"none asked for, and others can connect to {visit.settings.host}", mend)
    try:
        ApiKeys.load(path)
        mode = path.stat().st_mode
    except (KeysError, OSError) as error:
        return Finding("wrong", str(error), "write a key a line into it: openssl rand -hex 24")
    if mode & _OTHERS and _SECRETS not in path.resolve().parents:
        return Finding("warning", f"{path} can be used, but is open to other users ({mode & 0o777:o})", f"chmod 600 {path}")
    return Finding("ok", f"{path} can be used")


def check_caption(visit: Visit) -> Finding:
    """Whether a sound of one second gets a caption, as `diffusion-link caption` writes it."""
    from app.command_caption import caption_files
    from app.loading import load_pipeline

    started_s = time.perf_counter()
    try:
        pipeline = load_pipeline(visit.settings)
        loaded_s = time.perf_counter() - started_s
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "tone.wav")
            _write_tone(path)

            async def first() -> object:
                return await anext(caption_files(pipeline, [str(path)], CaptionOptions(), visit.settings))

            started_s = time.perf_counter()
            outcome = asyncio.run(first())
    except (DiffusionLinkError, OSError) as error:
        return Finding("wrong", str(error), "mend this, and ask again")
    caption_s = time.perf_counter() - started_s
    if isinstance(outcome, ErrorDetail):
        return Finding("wrong", outcome.message, "the log above says more")
    caption = getattr(outcome, "caption", "")
    return Finding("ok", f"a tone is {caption!r}: loaded in {loaded_s:.1f} s, written in {caption_s:.2f} s")


def _free_ram() -> int | None:
    """Bytes that a program can have: of the machine, and of its container; None where they cannot be told."""
    try:
        lines = _MEMORY_FILE.read_text(encoding="ascii").splitlines()
        free = 1_024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    try:
        limit, used = (int((_CONTAINER / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    # No container, or one without a limit, "max".
    except (OSError, ValueError):
        return free
    return max(0, min(free, limit - used))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _write_tone(path: Path) -> None:
    levels = [round(8_000 * math.sin(2 * math.pi * _TONE_HZ * sample / _RATE_HZ)) for sample in range(_RATE_HZ)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(struct.pack(f"<{len(levels)}h", *levels))
