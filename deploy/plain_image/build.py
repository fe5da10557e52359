"""Follows the stages of a Dockerfile in a folder that stands in for `/`, as an ordinary user.

The stage that is being made always lies in the same folder, and goes elsewhere when it is done: a virtual environment works
only where it was made, and so what a later stage copies of it comes back to the very place.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from deploy.plain_image.dockerfile import Instruction, Stage, StepError, read_ignored, sent
from deploy.plain_image.user import User, find_python

_ROOT_ONLY = {"groupadd", "useradd", "addgroup", "adduser", "apt-get", "apk", "chown"}
_ABSOLUTE = re.compile(r"(?<![^\s=:\"'])/(?!(?:dev|etc|proc|sys|usr|bin|lib)\b)(?=[\w.]|$)")
"""A path of the image in a text. Those of this machine's own system are left: what is written there fails without root."""

Report = Callable[[str, float, str, str, str], None]
"""Told of every instruction: what became of it, its seconds, its stage, itself, and a word on why."""


@dataclass
class Image:
    """What a stage comes to: a folder, and what its program is started with."""

    root: Path
    environment: dict[str, str]
    folder: str = "/"
    entry_point: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: Instruction | None = None


class Builder:
    """Makes stages in a folder; `arguments` are those of `--build-arg`."""

    def __init__(self, work: Path, context: Path, user: User, arguments: Mapping[str, str], report: Report) -> None:
        """Send the context, without what .dockerignore leaves out, to where the user may read it."""
        self._root, self._done, self._context = work / "root", work / "stages", work / "context"
        self._user, self._arguments, self._report = user, arguments, report
        self._images: dict[str, Image] = {}
        self._host = _pip_settings()
        _send(context, self._context)
        self._done.mkdir()
        for folder in (self._context, self._done):
            user.own(folder)

    def build(self, stages: list[Stage], defaults: Mapping[str, str]) -> Image:
        """Make all stages; the last one stays where it was made.

        Raises:
            StepError: If a step fails.
        """
        for stage in stages:
            if self._images:
                self._put_aside()
            image = self._begin(stage, {**defaults, **self._arguments})
            self._images[stage.name] = image
            arguments: dict[str, str] = {}
            for instruction in stage.instructions[1:]:
                begun_s = time.monotonic()
                try:
                    what, note = self._follow(instruction, image, arguments)
                except StepError as error:
                    raise instruction.error(str(error)) from error
                self._report(what, time.monotonic() - begun_s, stage.name, str(instruction), note)
        return image

    def _put_aside(self) -> None:
        name, image = list(self._images.items())[-1]
        image.root = self._done / name
        self._user.run(["mv", str(self._root), str(image.root)])

    def _begin(self, stage: Stage, arguments: Mapping[str, str]) -> Image:
        begun_s, base = time.monotonic(), _filled(stage.base, arguments)
        above = self._images.get(base)
        if above:
            self._user.run(["cp", "-a", "--reflink=auto", str(above.root), str(self._root)])
            image, what, note = Image(self._root, dict(above.environment), above.folder), "done", "a copy of that stage"
        else:
            path = f"{self._root}/usr/local/bin:/usr/bin:/bin"
            image = Image(self._root, {"PATH": path, "LANG": "C.UTF-8", "HOME": str(self._root / "tmp")})
            self._user.run(["mkdir", "--parents", str(self._root / "tmp")])
            what, note = "instead", self._base_image(base)
        self._report(what, time.monotonic() - begun_s, stage.name, f"FROM {base}", note)
        return image

    def _base_image(self, base: str) -> str:
        if base == "scratch":
            return "an empty folder"
        wanted = re.match(r"(?:.*/)?python:(\d+\.\d+)", base)
        if not wanted:
            raise StepError(f"Dockerfile: FROM {base}: only Python's images and scratch have something in their place here")
        python, exact = find_python(wanted[1], self._user)
        self._user.run([python, "-m", "venv", str(self._root / "usr" / "local")], {"PATH": os.defpath} | self._host)
        return f"Python {exact} of this machine, with a pip of its own"

    def _follow(self, instruction: Instruction, image: Image, arguments: dict[str, str]) -> tuple[str, str]:
        match instruction.word:
            case "RUN":
                return self._run(instruction, image, arguments)
            case "COPY":
                self._copy(instruction, image)
            case "ARG":
                name, _, default = instruction.text.partition("=")
                arguments[name] = self._arguments.get(name, default)
                return "done", "" if arguments[name] == default else f'is "{arguments[name]}"'
            case "ENV":
                for pair in shlex.split(instruction.text):
                    name, _, value = pair.partition("=")
                    image.environment[name] = _filled(self._mapped(value), image.environment | arguments)
            case "WORKDIR":
                image.folder = instruction.text
                self._user.run(["mkdir", "--parents", self._mapped(image.folder)])
            case "HEALTHCHECK":
                image.health = instruction
            case "ENTRYPOINT":
                image.entry_point = [self._mapped(part) for part in instruction.command()]
            case "CMD":
                image.command = [self._mapped(part) for part in instruction.command()]
            case "USER":
                return ("done" if self._user.uid else "instead"), "" if self._user.uid else "as whoever runs this"
            case _:
                return "noted", "nothing to be done without an image"
        return "done", ""

    def _mapped(self, text: str) -> str:
        """A text of the Dockerfile with the image's paths where they are here."""
        return _ABSOLUTE.sub(lambda _: f"{self._root}/", text)

    def _copy(self, instruction: Instruction, image: Image) -> None:
        sources, target = instruction.paths()
        origin = instruction.flags.get("from")
        top = self._images[origin].root if origin else self._context
        place = Path(self._mapped(target if target.startswith("/") else f"{image.folder}/{target}"))
        for source in (top / source.strip("/") for source in sources):
            # The content of a folder goes into the target, a file goes there by its name or as the target.
            into = place if source.is_dir() or target.endswith("/") else place.parent
            self._user.run(["mkdir", "--parents", str(into)])
            self._user.run(["cp", "-a", "--reflink=auto", f"{source}/." if source.is_dir() else str(source), str(place)])

    def _run(self, instruction: Instruction, image: Image, arguments: Mapping[str, str]) -> tuple[str, str]:
        programs = {part.split()[0] for part in re.split(r"&&|\|\||[;|]", instruction.text) if part.split()}
        if programs & _ROOT_ONLY:
            if programs - _ROOT_ONLY:
                raise StepError(f"{', '.join(programs & _ROOT_ONLY)} cannot be run without root; have a RUN for what can be")
            return "left out", f"{' and '.join(sorted(programs))} cannot be run without root"
        mount = dict(pair.split("=", 1) for pair in instruction.flags.get("mount", "").split(",") if pair)
        target = Path(self._mapped(mount["target"])) if mount else None
        if target:
            if mount.keys() != {"type", "from", "source", "target"} or mount["type"] != "bind":
                raise StepError("this knows no mount but a folder of another stage")
            source = self._images[mount["from"]].root / mount["source"].strip("/")
            self._user.run(["cp", "-a", "--reflink=auto", str(source), str(target)])
        environment = self._host | {"TMPDIR": str(self._root / "tmp")} | image.environment | dict(arguments)
        command = self._mapped(instruction.text)
        self._user.run(["/bin/sh", "-c", command], environment, Path(self._mapped(image.folder)))
        if target:
            self._user.run(["rm", "-r", str(target)])
        return "done", ""


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """A text with its $NAME and ${NAME} filled in."""
    try:
        return Template(text).substitute(variables)
    except (KeyError, ValueError) as error:
        raise StepError(f"{text}: {error} has no value") from error


def _send(context: Path, target: Path) -> None:
    patterns = read_ignored(context)

    def left_out(folder: str, names: list[str]) -> set[str]:
        above = Path(folder).relative_to(context)
        return {name for name in names if not sent((above / name).as_posix(), patterns)}

    shutil.copytree(context, target, symlinks=True, ignore=left_out)


def _pip_settings() -> dict[str, str]:
    """What pip is told here (its configuration, proxies, certificates), as variables: the other user has no such files."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings = {
        name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name.startswith("SSL_")
    }
    for line in listed.stdout.splitlines():
        found = re.fullmatch(r"(?:global|install|:env:)\.([a-z-]+)=('.*'|\".*\")", line)
        if found:
            settings[f"PIP_{found[1].upper().replace('-', '_')}"] = " ".join(ast.literal_eval(found[2]).split())
    return settings
