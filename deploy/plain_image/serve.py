"""Starts what an image would start, from a tree that is closed to writing, and looks after it until it has stopped."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

from deploy.plain_image.build import Image
from deploy.plain_image.dockerfile import StepError
from deploy.plain_image.user import User

PORT_VARIABLE = "DIFFUSION_LINK_PORT"
_TAIL = 3_000
"""Characters of the program's output that are shown where it fails."""

_DOCKER_DEFAULTS = {"interval": "30s", "timeout": "30s", "start-period": "0s", "retries": "3"}

Entries = dict[str, tuple[int, ...]]


class Program:
    """The program of an image, its health check and its output; ended for good when the block is left."""

    def __init__(self, image: Image, folder: Path, user: User, log: Path) -> None:
        """Start it on a free port, with nothing but the image's own variables beside."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._user, self._folder, self._log = user, folder, log
        self._environment = image.environment | {PORT_VARIABLE: str(self.port)}
        command = [*image.entry_point, *image.command]
        if not command:
            raise StepError("Dockerfile: has neither ENTRYPOINT nor CMD")
        with log.open("wb") as output:
            self._process = user.start(command, output.fileno(), self._environment, folder)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def until_healthy(self, image: Image) -> int:
        """Run the health check again and again, as Docker does, if more often; how often it had to be asked."""
        if image.health is None:
            raise StepError("Dockerfile: has no HEALTHCHECK")
        flags, command = _DOCKER_DEFAULTS | image.health.flags, image.health.command()
        end_s = time.monotonic() + _seconds(flags["start-period"]) + int(flags["retries"]) * _seconds(flags["interval"])
        asked = 0
        while True:
            asked += 1
            try:
                self._user.run(command, self._environment, self._folder, _seconds(flags["timeout"]))
                return asked
            except StepError as error:
                if self._process.poll() is not None:
                    raise StepError(f"the program ended, status {self._process.returncode}\n{self._said()}") from error
                if time.monotonic() > end_s:
                    raise StepError(f"the health check does not pass: {error}\n{self._said()}") from error
            time.sleep(0.2)

    def caption(self, sound: Path) -> str:
        """What POST /caption makes of a sound.

        Raises:
            StepError: If that is no caption.
        """
        url = f"http://127.0.0.1:{self.port}/caption"
        request = urllib.request.Request(url, sound.read_bytes(), {"content-type": "audio/wav"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                caption = json.load(response)["results"][0]["caption"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StepError(f"POST /caption of {sound.name}: {error!r}\n{self._said()}") from error
        if not isinstance(caption, str) or not caption:
            raise StepError(f"POST /caption of {sound.name}: the caption is {caption!r}")
        return caption

    def stop(self, grace_s: float) -> None:
        """Ask it to stop, as Docker does, and have it end well.

        Raises:
            StepError: If it does not end in time, or with another status than 0.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=grace_s)
        except subprocess.TimeoutExpired as error:
            raise StepError(f"SIGTERM did not end the program in {grace_s:g} s\n{self._said()}") from error
        if self._process.returncode != 0:
            raise StepError(f"status {self._process.returncode} after SIGTERM\n{self._said()}")

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|m)", text)
    if not found:
        raise StepError(f"Dockerfile: HEALTHCHECK: {text} is no time that this knows")
    return int(found[1]) * {"ms": 0.001, "s": 1, "m": 60}[found[2]]


def freeze(root: Path, user: User) -> Entries:
    """Take everybody's leave to write into a tree, but for its /tmp; what is in it then.

    Raises:
        StepError: If something in it could be read by its owner alone: in the image that is root.
    """
    user.run(["chmod", "--recursive", "a-w", str(root)])
    user.run(["chmod", "--recursive", "u+w", str(root / "tmp")])
    entries = look(root)
    for path, (mode, *_) in entries.items():
        wanted = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
        if not stat.S_ISLNK(mode) and mode & wanted != wanted:
            raise StepError(f"/{path} could not be read in the image, where it is root's: mode {stat.S_IMODE(mode):o}")
    return entries


def look(root: Path) -> Entries:
    """Mode, size, time of change and inode of all in a tree but its /tmp."""
    found: Entries = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == root and "tmp" in folders:
            folders.remove("tmp")
        for name in [*folders, *files, "."]:
            path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - tens of thousands of them
            at = os.lstat(path)
            found[os.path.relpath(path, root)] = (at.st_mode, at.st_size, at.st_mtime_ns, at.st_ino)
    return found


def check_untouched(before: Entries, root: Path) -> None:
    """Refuse a tree that is no longer as it was.

    Raises:
        StepError: With the first few paths that came, went or changed.
    """
    after = look(root)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if changed:
        raise StepError(
            f"{len(changed)} paths outside of /tmp were written: {', '.join('/' + path for path in changed[:5])}"
        )
