"""Goes through the Dockerfile without Docker, and captions a sound with the outcome; status 1 where a step fails."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from deploy.plain_image.build import Builder, Image
from deploy.plain_image.dockerfile import StepError, check_copies, read_instructions, read_stages
from deploy.plain_image.serve import PORT_VARIABLE, Program, check_untouched, freeze
from deploy.plain_image.user import User, ordinary_user

ROOT = Path(__file__).parents[2]
_WIDTH = 100
Result = TypeVar("Result")


def report(what: str, seconds: float | None, stage: str, text: str, note: str = "") -> None:
    """One row of the table, shown as soon as it is known: the text as far as there is room, the note whole."""
    text, room = " ".join(text.split()), _WIDTH - len(note)
    text = (text if len(text) <= room else f"{text[: room - 1]}…") + (f": {note}" if note else "")
    took = "" if seconds is None else f"{seconds:.1f} s"
    sys.stdout.write(f"{what:<9}{took:>8}  {stage:<14}{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options = _parser().parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="plain-image-"))
    try:
        _go_through(options, work)
    except StepError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        _remove(work)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.plain_image", description=__doc__)
    parser.add_argument(
        "--build-arg", action="append", default=[], type=_pair, metavar="NAME=VALUE", help="as of docker build"
    )
    parser.add_argument("--context", type=Path, default=ROOT, help="the folder with the Dockerfile")
    parser.add_argument("--sound", type=Path, default=ROOT / "examples" / "snare_drum.wav", help="what is captioned, a WAV")
    parser.add_argument("--time", type=float, default=40, help="seconds to stop in, as of docker stop; compose grants 40")
    return parser


def _pair(argument: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{argument!r} is not NAME=VALUE")
    return name, value


def _go_through(options: argparse.Namespace, work: Path) -> None:
    context: Path = options.context
    defaults, stages = read_stages(read_instructions((context / "Dockerfile").read_text(encoding="utf-8")))
    check_copies(stages, context)
    numbers = [instruction.text for instruction in stages[-1].instructions if instruction.word == "USER"]
    user = ordinary_user(numbers[-1] if numbers else None)
    work.chmod(0o755)
    user.own(work)
    image = Builder(work, context, user, dict(options.build_arg), report).build(stages, defaults)
    _serve(image, user, work / "log", options)


def _serve(image: Image, user: User, log: Path, options: argparse.Namespace) -> None:
    before = _step("the tree is closed to writing, but for /tmp", lambda: freeze(image.root, user))
    size = sum(entry[1] for entry in before.values()) / 1e9
    report("", None, "run", f"{len(before)} paths, {size:.1f} GB")
    with Program(image, image.root / image.folder.strip("/"), user, log) as program:
        report("started", None, "run", " ".join([*image.entry_point, *image.command]), f"{PORT_VARIABLE}={program.port}")
        _step("HEALTHCHECK passes", lambda: program.until_healthy(image))
        caption = _step(f"POST /caption of {options.sound.name}", lambda: program.caption(options.sound))
        report("", None, "run", f'"{caption}"')
        _step("SIGTERM ends it with status 0", lambda: program.stop(options.time))
    _step("nothing was written outside of /tmp", lambda: check_untouched(before, image.root))


def _step(text: str, take: Callable[[], Result]) -> Result:
    begun_s = time.monotonic()
    result = take()
    report("done", time.monotonic() - begun_s, "run", text)
    return result


def _remove(work: Path) -> None:
    """Also what nobody may write into."""
    for folder in [work, *work.rglob("*")]:
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o700)
    shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
