"""Whom everything runs as: an ordinary user, also where root starts it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.plain_image.dockerfile import StepError

_TAIL = 3_000
"""Characters of a failed command's output that are shown."""


@dataclass(frozen=True)
class User:
    """A user and group by number; None: whoever runs this, who is not root then."""

    uid: int | None
    gid: int | None

    def start(
        self, command: Sequence[str], output: int, environment: Mapping[str, str], folder: Path
    ) -> "subprocess.Popen[str]":
        """A process of this user's, in a group of its own, with this environment alone; `output` is a file descriptor."""
        # Looked up in the environment's own PATH: Popen itself looks in ours.
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        try:
            return subprocess.Popen(
                [program, *command[1:]],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                umask=0o022,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        except OSError as error:
            raise StepError(f"{command[0]} cannot be started: {error.strerror}") from error

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path = Path("/"),
        timeout_s: float | None = None,
    ) -> str:
        """What a command prints.

        Raises:
            StepError: If it fails, with the end of its output, or takes too long.
        """
        process = self.start(command, subprocess.PIPE, environment or {"PATH": os.defpath}, folder)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise StepError(f"took more than {timeout_s:g} s") from error
        if process.returncode != 0:
            raise StepError(f"exit status {process.returncode}\n{output[-_TAIL:].strip()}")
        return output

    def own(self, path: Path) -> None:
        """Give a folder and all in it to this user."""
        for entry in [path, *path.rglob("*")] if self.uid is not None else []:
            os.chown(entry, self.uid or -1, self.gid or -1, follow_symlinks=False)


def ordinary_user(numbers: str | None) -> User:
    """The user of a `USER uid:gid` where root asks, else whoever asks.

    Raises:
        StepError: If the image would run as root, or as a user that it has only a name of.
    """
    found = re.fullmatch(r"([1-9]\d*):([1-9]\d*)", numbers or "")
    if not found:
        raise StepError(f"Dockerfile: USER is {numbers}, and no uid:gid other than root's")
    return User(int(found[1]), int(found[2])) if os.geteuid() == 0 else User(None, None)


def find_python(version: str, user: User) -> tuple[str, str]:
    """A Python of a version, such as 3.11, that the user may run, and what it says that it is.

    Raises:
        StepError: If there is none.
    """
    folders = ["/usr/local/bin", "/usr/bin"]
    own = Path(sys.base_prefix, "bin", f"python{version}")
    for candidate in [own, *(Path(folder, f"python{version}") for folder in folders)]:
        try:
            exact = user.run([str(candidate), "-c", "import ensurepip, platform, venv; print(platform.python_version())"])
        except StepError:
            continue  # Not there, without venv, or in a folder that is closed to this user.
        return str(candidate), exact.strip()
    raise StepError(f"no python{version} with venv that {user} may run in {own.parent}, {', '.join(folders)}")
