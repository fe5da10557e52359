"""The takes of a corpus on disk: every recording decoded, rendered or generated once, and given to its part."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import soundfile as sf

from models.audio import SAMPLE_RATE_HZ
from models.errors import RecipeError
from models.training.bank import Part, Recording, divide
from models.training.folders import write_whole
from models.training.sources import takes_of

RECORDINGS_FILE = "recordings.jsonl"
UNUSABLE_FILE = "unusable.txt"
"""A line for each recording that could not be used, and why."""
_GENERATED_TAKES: dict[Part, int] = {"encoder": 10, "bridge": 4, "validation": 2, "test": 1}
"""Takes of a soundfont's program or of a generator: the parts share the instrument, and no piece."""


@dataclass(frozen=True, slots=True)
class Take:
    """One line of recordings.jsonl: `path` is the recording as it came, `take` what scenes are mixed from."""

    sound: str
    split: Part
    package: str
    source: str
    path: str
    take: str


def prepare_takes(
    recordings: Sequence[Recording],
    folder: Path,
    output: Path,
    seed: int,
    max_bad_share: float,
    advance: Callable[[], None],
) -> list[Take]:
    """Write the takes of all recordings into output/takes, and the table of them.

    Raises:
        RecipeError: more recordings than `max_bad_share` of them cannot be used; the message names them.
    """
    (output / "takes").mkdir(parents=True, exist_ok=True)
    jobs = _jobs(recordings, seed)
    bad: list[str] = []

    def run(number: int) -> list[Take]:
        recording, parts = jobs[number]
        try:
            takes = _write(recording, parts, folder, output / "takes", number, seed)
        except RecipeError as error:
            bad.append(str(error))
            takes = []
        advance()
        return takes

    with ThreadPoolExecutor(2) as pool:
        written = [take for takes in pool.map(run, range(len(jobs))) for take in takes]
    if len(bad) > max_bad_share * len(jobs):
        raise RecipeError(f"{len(bad)} of {len(jobs)} recordings cannot be used: {'; '.join(sorted(bad)[:10])}")
    (output / UNUSABLE_FILE).write_text("".join(f"{reason}\n" for reason in sorted(bad)), encoding="utf-8")
    # Last and at once: that it is there says that all takes are.
    write_whole(output / RECORDINGS_FILE, "".join(f"{json.dumps(asdict(take))}\n" for take in written))
    return written


def _jobs(recordings: Sequence[Recording], seed: int) -> list[tuple[Recording, list[Part]]]:
    """Each recording and the part of each of its takes."""
    jobs: list[tuple[Recording, list[Part]]] = []
    for recording in recordings:
        if recording.generated:
            own: tuple[Part, ...] = ("test",) if recording.split == "test" else ("encoder", "bridge", "validation")
            jobs.append((recording, [part for part in own for _ in range(_GENERATED_TAKES[part])]))
    jobs.extend((recording, [part]) for recording, part in divide(recordings, seed) if not recording.generated)
    return jobs


def _write(recording: Recording, parts: Sequence[Part], folder: Path, directory: Path, number: int, seed: int) -> list[Take]:
    written = []
    for index, (part, samples) in enumerate(zip(parts, takes_of(recording, folder, len(parts), seed), strict=True)):
        path = directory / f"{number:04d}-{index:02d}.wav"
        sf.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        original = path if recording.generated else folder / recording.package / recording.path
        written.append(
            Take(recording.sound, part, recording.package, recording.path, str(original.resolve()), str(path.resolve()))
        )
    return written
