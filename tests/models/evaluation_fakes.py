"""A pipeline whose answers can be worked out by hand: pure tones for sounds, one coordinate each, and a gap to cross."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile as sf

from models.artifact import ArtifactManifest
from models.audio import SAMPLE_RATE_HZ
from models.pipeline import Pipeline, ScoredCaption

PHRASES = {
    "low": ["a low tone hums", "low humming"],
    "middle": ["a middle tone sounds"],
    "high": ["a high tone whistles"],
    "shrill": ["a shrill tone pierces", "shrill piercing"],
}
TONES_HZ = {"low": 500, "middle": 1_000, "high": 2_000, "shrill": 4_000}
SOUNDS = list(PHRASES)
DIM = 5
"""A coordinate for each sound, and one that tells audio from text."""


def tone(sound: str, seconds: float = 0.5) -> np.ndarray:
    """A tone at the pitch of a sound."""
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.5 * np.sin(2 * np.pi * TONES_HZ[sound] * times)).astype(np.float32)


def write_tone(path: Path, sound: str, seconds: float = 0.5) -> Path:
    """Write that tone as a WAV file."""
    data = io.BytesIO()
    sf.write(data, tone(sound, seconds), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    path.write_bytes(data.getvalue())
    return path


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class FakePipeline(Pipeline):
    """Hears the pitch; unbridged, every embedding leans over to audio, and captions name the sound after the true one."""

    def __init__(self) -> None:
        """Keep the sizes of batches, and the seeds."""
        self.batches: list[int] = []
        self.seeds: set[int] = set()
        self.manifest = ArtifactManifest(
            schema_version=1,
            name="fake",
            version="0",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            code_revision="none",
            licence="MIT",
            files={"clap/config.json": "0" * 64},
            recipe={},
            training_data={},
            metrics={},
        )

    @property
    def device_name(self) -> str:
        """No device."""
        return "nowhere"

    def embed_audio(self, windows: np.ndarray) -> np.ndarray:
        """Energy at each pitch, and the gap."""
        self.batches.append(len(windows))
        spectrum = np.abs(np.fft.rfft(windows[:, :SAMPLE_RATE_HZ], axis=1))
        energy = unit(spectrum[:, list(TONES_HZ.values())])
        return unit(np.column_stack([energy, np.ones(len(windows))]))

    def bridge(self, embeddings: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """Take the gap away."""
        assert len(seeds) == len(embeddings)
        self.seeds.update(seeds)
        return unit(embeddings * np.array([1, 1, 1, 1, 0]))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The sounds whose names a text holds."""
        return unit(np.array([[*(sound in text for sound in SOUNDS), 1e-3] for text in texts], dtype=np.float64))

    def write(
        self, embeddings: np.ndarray, *, seeds: Sequence[int], candidates: int, max_new_tokens: int
    ) -> list[list[ScoredCaption]]:
        """The first phrase of the loudest sound, or of the one after it where the gap is not crossed."""
        assert (len(seeds), max_new_tokens) == (len(embeddings), 32)
        self.seeds.update(seeds)
        loudest = embeddings[:, :4].argmax(axis=1) + (embeddings[:, 4] > 0.1)
        return [[ScoredCaption(PHRASES[SOUNDS[index % 4]][0], 0.9, 2)] * candidates for index in loudest]
