"""Scenes of ten seconds, mixed from takes; a scene follows from its own seed alone.

Single sounds come the way they come to the service: short ones repeat-padded as `models.audio.cut_windows` does it, or
once, or again and again with pauses. Two or three sounds come in sequence or at once.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field

from models.audio import SAMPLE_RATE_HZ, WINDOW_S, WINDOW_SAMPLES, Waveform, cut_windows
from models.training.augment import AugmentSettings, add_noise_floor, augment_take
from models.training.bank import Sound
from models.training.captions import Layout, write_captions

Samples = Float32[np.ndarray, " _samples"]
_FADE = int(0.01 * SAMPLE_RATE_HZ)


class MixSettings(BaseModel):
    """How scenes are put together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    single_share: float = Field(default=0.6, ge=0.0, le=1.0)
    """Scenes of one sound; the others hold two or three."""
    captions_per_scene: int = Field(default=4, ge=1)
    level_db: float = Field(default=8.0, ge=0.0)
    """How far the quieter sounds of a scene may lie below the loudest."""
    augment: AugmentSettings = AugmentSettings()


@dataclass(frozen=True, slots=True)
class Scene:
    """A mixed scene and what is known of it."""

    samples: Samples
    sounds: list[str]
    layout: Layout
    captions: list[str]


def mix_scene(
    takes: Mapping[str, Sequence[Samples]], sounds: Mapping[str, Sound], settings: MixSettings, augmented: bool, seed: str
) -> Scene:
    """Mix one scene from the takes of a part; sounds are drawn evenly, then takes of a sound."""
    rng = np.random.default_rng(list(seed.encode()))
    words = random.Random(seed)
    count = 1 if rng.random() < settings.single_share else int(rng.choice([2, 2, 2, 3]))
    names = [str(name) for name in rng.choice(sorted(takes), size=min(count, len(takes)), replace=False)]
    chosen = [_take(takes[name], settings.augment if augmented else None, rng) for name in names]
    layout: Layout = "single" if len(names) == 1 else ("sequence" if rng.random() < 0.5 else "together")
    repeated = False
    if layout == "single":
        samples, repeated = _single(chosen[0], rng)
    elif layout == "sequence":
        samples = _sequence(chosen, settings, rng)
    else:
        samples = _together(chosen, settings, rng)
    samples = samples * float(10 ** (rng.uniform(-20, 0) / 20)) / max(1e-6, float(np.abs(samples).max()))
    if augmented:
        samples = add_noise_floor(samples, settings.augment, rng)
    captions = write_captions(
        [sounds[name] for name in names], layout, repeated=repeated, count=settings.captions_per_scene, rng=words
    )
    return Scene(np.clip(samples, -1, 1).astype(np.float32), names, layout, captions)


def _take(takes: Sequence[Samples], augment: AugmentSettings | None, rng: np.random.Generator) -> Samples:
    take = takes[int(rng.integers(len(takes)))]
    if len(take) > WINDOW_SAMPLES:
        start = int(rng.integers(len(take) - WINDOW_SAMPLES))
        take = take[start : start + WINDOW_SAMPLES]
    return augment_take(take, augment, rng) if augment is not None else take


def _single(take: Samples, rng: np.random.Generator) -> tuple[Samples, bool]:
    """One sound, and whether it is heard again and again with pauses."""
    style = rng.random()
    if style < 0.55:
        return cut_windows(Waveform(take[:WINDOW_SAMPLES]))[0], False
    scene = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    if style < 0.75 or len(take) > WINDOW_SAMPLES // 3:
        _put(scene, take, _start(take, 0, WINDOW_SAMPLES, rng))
        return scene, False
    place, pause = int(rng.uniform(0, SAMPLE_RATE_HZ)), int(rng.uniform(0.1, 1.2) * SAMPLE_RATE_HZ)
    while place < WINDOW_SAMPLES:
        _put(scene, take * float(rng.uniform(0.6, 1)), place)
        place += len(take) + int(pause * rng.uniform(0.7, 1.3))
    return scene, True


def _sequence(takes: Sequence[Samples], settings: MixSettings, rng: np.random.Generator) -> Samples:
    scene = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    slot = WINDOW_SAMPLES // len(takes)
    for index, take in enumerate(takes):
        length = int(slot * rng.uniform(0.7, 0.98))
        part = _lasting(take, min(length, max(len(take), int(rng.uniform(1, WINDOW_S)) * SAMPLE_RATE_HZ)), rng)
        _put(scene, _levelled(part, settings, rng), _start(part, index * slot, (index + 1) * slot, rng))
    return scene


def _together(takes: Sequence[Samples], settings: MixSettings, rng: np.random.Generator) -> Samples:
    scene = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    for take in takes:
        part = _lasting(take, int(WINDOW_SAMPLES * rng.uniform(0.6, 1.0)), rng)
        _put(scene, _levelled(part, settings, rng), _start(part, 0, WINDOW_SAMPLES, rng))
    return scene


def _lasting(take: Samples, length: int, rng: np.random.Generator) -> Samples:
    """A short take again and again, a long one cut, to about `length`."""
    if len(take) >= length:
        return take[:length]
    pause = np.zeros(int(rng.uniform(0, 0.8) * SAMPLE_RATE_HZ), dtype=np.float32)
    repeats = max(1, (length + len(pause)) // (len(take) + len(pause)))
    return np.concatenate([*([take, pause] * (repeats - 1)), take])


def _levelled(part: Samples, settings: MixSettings, rng: np.random.Generator) -> Samples:
    """Level by loudness, not by peak: a click and a hum of the same peak are not equally loud."""
    loudness = float(np.sqrt(np.mean(np.square(part[np.abs(part) > 1e-3])))) if np.abs(part).max() > 1e-3 else 1.0
    return part * float(0.1 / max(loudness, 1e-4) * 10 ** (-rng.uniform(0, settings.level_db) / 20))


def _start(part: Samples, low: int, high: int, rng: np.random.Generator) -> int:
    return low + int(rng.integers(max(1, high - low - len(part))))


def _put(scene: Samples, part: Samples, start: int) -> None:
    """Add a part, its end faded where the scene cuts it."""
    part = part[: len(scene) - start].copy()
    if len(part) > 2 * _FADE:
        part[-_FADE:] *= np.linspace(1, 0, _FADE, dtype=np.float32)
    scene[start : start + len(part)] += part
