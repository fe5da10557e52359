"""The raw loop: the same work without HTTP, queues or threads, in a process of its own. Reads orders, prints answers.

Each order is a line of JSON on stdin, each answer a line of JSON on stdout:
{"order": "captions"}                     what every clip is captioned when it is alone: the short ones, then the long one
{"order": "loop", "seconds": S}           clips a second through decode → embed → bridge → write, a full batch at a time
{"order": "lone", "seconds": S}           milliseconds of each direct call for one clip: decoding, and the pipeline
"""

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import count, islice
from typing import Any

import numpy as np

from benchmarks.clips import long_wav, short_wavs
from benchmarks.subject import DEFAULT_TOKENS, Subject
from models.audio import AudioLimits, cut_windows, decode_audio
from models.pipeline import Pipeline, pool_windows

_LIMITS = AudioLimits()


class RawLoop:
    """A pipeline and the clips that go through it."""

    def __init__(self, pipeline: Pipeline, batch: int) -> None:
        self._pipeline, self._batch = pipeline, batch
        self._shorts = short_wavs()

    def captions(self) -> list[str]:
        """Captions of the short clips and the long one, each alone."""
        return [self._caption([cut_windows(decode_audio(wav, _LIMITS))])[0] for wav in (*self._shorts, long_wav())]

    def loop(self, seconds: float) -> float:
        """Clips a second, batch after batch until `seconds` are over."""
        clips = (self._shorts[index % len(self._shorts)] for index in count())
        done, started_s = 0, time.perf_counter()
        while time.perf_counter() - started_s < seconds:
            self._caption([cut_windows(decode_audio(wav, _LIMITS)) for wav in islice(clips, self._batch)])
            done += self._batch
        return done / (time.perf_counter() - started_s)

    def lone(self, seconds: float) -> dict[str, list[float]]:
        """Times of single calls, clip after clip until `seconds` are over."""
        times: dict[str, list[float]] = {"decode_ms": [], "pipeline_ms": []}
        end_s = time.perf_counter() + seconds
        for index in count():
            started_s = time.perf_counter()
            if started_s >= end_s and index:
                return times
            windows = cut_windows(decode_audio(self._shorts[index % len(self._shorts)], _LIMITS))
            decoded_s = time.perf_counter()
            self._caption([windows])
            times["decode_ms"].append(1_000 * (decoded_s - started_s))
            times["pipeline_ms"].append(1_000 * (time.perf_counter() - decoded_s))
        raise AssertionError("count() ends")

    def _caption(self, clips: list[np.ndarray]) -> list[str]:
        embeddings = self._pipeline.embed_audio(window for clip in clips for window in clip)
        parts = np.split(embeddings, np.cumsum([len(clip) for clip in clips])[:-1])
        seeds = [0] * len(clips)
        bridged = self._pipeline.bridge(np.stack([pool_windows(part) for part in parts]), seeds)
        written = self._pipeline.write(bridged, seeds=seeds, candidates=1, max_new_tokens=DEFAULT_TOKENS)
        return [captions[0].caption for captions in written]


def main() -> None:
    """Obey orders until stdin ends."""
    subject = Subject.from_command_line()
    pipeline = subject.load()
    pipeline.warm_up()
    raw = RawLoop(pipeline, subject.batch)
    # Libraries may print; answers go where nothing else does.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answers.write("Ready: raw loop\n")
    orders: dict[str, Callable[..., Any]] = {"captions": raw.captions, "loop": raw.loop, "lone": raw.lone}
    for line in sys.stdin:
        order = json.loads(line)
        answers.write(json.dumps(orders[order.pop("order")](**order)) + "\n")


if __name__ == "__main__":
    main()
