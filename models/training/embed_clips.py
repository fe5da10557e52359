"""Embeddings of a data set's clips: decoded ahead in a few threads, embedded window by window, kept in shards.

A clip is embedded as the service does it: decoded, cut into windows, and the windows' embeddings averaged. A shard is
complete or not there, and nothing in it depends on the shards before; so a run that was cut off and goes on ends with the
same bytes. What cannot be decoded is left out, and the shard says why.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.audio import cut_windows, decode_audio
from models.clap.encoder import ClapEncoder
from models.errors import AudioError
from models.pipeline import pool_windows
from models.training.datasets import BadClip, Clip
from models.training.embed_captions import embed_captions
from models.training.sources import LIMITS

_SHARD_CLIPS = 1_000
_THREADS = 4
_DECODED_AHEAD = 8
"""Clips that wait for the encoder, decoded: bounds memory, with the 230 MB of the longest clip allowed."""
_HEADER = "shard"

Windows = Float32[np.ndarray, "_windows _samples"]
Embedded = Float32[np.ndarray, " _dim"]
EmbedWindows = Callable[[Windows], Float32[np.ndarray, "_windows _dim"]]


@dataclass(frozen=True, slots=True)
class ClipEmbedder:
    """An encoder, and how much it is given at once."""

    encoder: ClapEncoder
    batch_size: int
    """Windows."""
    text_batch_size: int

    def embed(
        self,
        clips: Sequence[Clip],
        directory: Path,
        source: Mapping[str, str],
        check: Callable[[Sequence[BadClip]], None],
        advance: Callable[[int], object],
    ) -> tuple[dict[str, Tensor], list[BadClip]]:
        """Make the shards that `directory` lacks or that are not of `source`, and put all of them together.

        `check` is told after every shard what could not be used so far, and may raise; `advance` is told of clips that
        are done. In the tensors, `rows` are the places in `clips` of those that are embedded.
        """
        directory.mkdir(parents=True, exist_ok=True)
        bad: list[BadClip] = []
        shards: list[Path] = []
        for first in range(0, len(clips), _SHARD_CLIPS):
            path, part = directory / f"{first // _SHARD_CLIPS:05d}.safetensors", clips[first : first + _SHARD_CLIPS]
            of_shard = _read_bad(path, source)
            if of_shard is None:
                tensors, of_shard = self._embed_shard(part, first)
                header = {"source": dict(source), "bad": [asdict(one) for one in of_shard]}
                unfinished = path.with_suffix(".new")
                save_file(tensors, unfinished, metadata={_HEADER: json.dumps(header, sort_keys=True)})
                unfinished.replace(path)
            bad.extend(of_shard)
            check(bad)
            shards.append(path)
            advance(len(part))
        return _joined(shards), bad

    def _embed_shard(self, clips: Sequence[Clip], first: int) -> tuple[dict[str, Tensor], list[BadClip]]:
        kept: list[int] = []
        bad: list[BadClip] = []

        def decoded() -> Iterator[Windows]:
            for row, windows in enumerate(decode_clips(clips)):
                if isinstance(windows, BadClip):
                    bad.append(windows)
                else:
                    kept.append(row)
                    yield windows

        audio = embed_by_windows(self._embed_windows, decoded(), self.batch_size, lambda count: None)
        captions = [clips[row].captions for row in kept]
        said = [caption for one in captions for caption in one]
        counts = torch.tensor([0, *map(len, captions)])
        return {
            "audio": torch.from_numpy(np.stack(audio)) if audio else torch.empty(0, self.encoder.dim),
            "text": embed_captions(self.encoder, said, self.text_batch_size, lambda count: None),
            "offsets": counts.cumsum(dim=0),
            "rows": torch.tensor(kept, dtype=torch.int64) + first,
        }, bad

    @torch.inference_mode()
    def _embed_windows(self, windows: Windows) -> Float32[np.ndarray, "_windows _dim"]:
        return self.encoder.embed_audio(torch.from_numpy(windows)).cpu().numpy()


def embed_by_windows(
    embed: EmbedWindows, clips: Iterable[Windows], batch_size: int, advance: Callable[[int], object]
) -> list[Embedded]:
    """Embed clips by their windows as the service does; short ones together, so that they fill a batch."""
    embedded: list[Embedded] = []
    for group in _groups(clips, batch_size):
        windows = np.concatenate(group)
        parts = [embed(windows[start : start + batch_size]) for start in range(0, len(windows), batch_size)]
        ends = np.cumsum([len(one) for one in group])
        embedded.extend(pool_windows(one) for one in np.split(np.concatenate(parts), ends[:-1]))
        advance(len(group))
    return embedded


def _groups(clips: Iterable[Windows], batch_size: int) -> Iterator[list[Windows]]:
    """Clips in groups that fill a batch or more."""
    group: list[Windows] = []
    for windows in clips:
        group.append(windows)
        if sum(map(len, group)) >= batch_size:
            yield group
            group = []
    if group:
        yield group


def decode_clips(clips: Sequence[Clip]) -> Iterator[Windows | BadClip]:
    """The windows of each clip, in order, decoded ahead of their use."""
    ahead: deque[Future[Windows | BadClip]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for clip in clips:
            ahead.append(pool.submit(_windows, clip))
            if len(ahead) > _DECODED_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _windows(clip: Clip) -> Windows | BadClip:
    try:
        return cut_windows(decode_audio(clip.audio.read_bytes(), LIMITS))
    except AudioError as error:
        return BadClip(clip.id, f"{clip.audio.name}: {error}")
    except OSError as error:
        return BadClip(clip.id, f"{clip.audio.name} cannot be read: {error.strerror}")


def _read_bad(path: Path, source: Mapping[str, str]) -> list[BadClip] | None:
    """What a finished shard could not use; nothing where it is not there, is damaged, or is of another source."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
        return [BadClip(**one) for one in header["bad"]] if header["source"] == source else None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


def _joined(shards: Sequence[Path]) -> dict[str, Tensor]:
    parts = [load_file(path) for path in shards]
    counts = torch.cat([part["offsets"].diff() for part in parts])
    joined = {name: torch.cat([part[name] for part in parts]) for name in ("audio", "text", "rows")}
    return {**joined, "offsets": torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(dim=0)])}
