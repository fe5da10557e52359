"""From what the engine answers to the bodies of schemas.py; run off the event loop, since embeddings are large."""

import base64
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel

from app.captioning import CaptionedClip, EmbeddedClip
from app.schemas import (
    BridgeOptions,
    CaptionedFile,
    CaptionOptions,
    EmbeddedFile,
    EmbeddedText,
    Embedding,
    Encoding,
    ModelInfo,
    ScoredCaption,
    TimelineEntry,
    WindowEmbedding,
)
from models import pipeline as captioner

_SCORE_DIGITS = 4
"""Beyond these a cosine is noise of float32."""
_SECONDS_DIGITS = 3


def render(body: BaseModel) -> bytes:
    """JSON of a body, without the optional fields that nobody asked for."""
    return body.model_dump_json(exclude_unset=True).encode()


def captioned_file(filename: str | None, clip: CaptionedClip, options: CaptionOptions) -> CaptionedFile:
    """The result of one captioned file."""
    optional: dict[str, object] = {}
    if options.candidates > 1:
        optional["candidates"] = [_scored(candidate) for candidate in clip.candidates]
    if clip.timeline is not None:
        optional["timeline"] = [
            TimelineEntry(start_s=start_s, end_s=round(end_s, _SECONDS_DIGITS), **_scored(captions[0]).model_dump())
            for (start_s, end_s), captions in zip(clip.extent.spans_s, clip.timeline, strict=True)
        ]
    best = _scored(clip.candidates[0])
    return CaptionedFile.model_validate(
        {"filename": filename, "duration_s": _duration_s(clip), **best.model_dump(), **optional}
    )


def embedded_file(filename: str | None, clip: EmbeddedClip, options: BridgeOptions) -> EmbeddedFile:
    """The result of one embedded file."""
    bridged, raw = clip.embedded.bridged, clip.embedded.raw
    optional: dict[str, object] = {}
    if options.raw:
        optional["raw"] = _encoded(raw[0], options.encoding)
    if options.windows:
        optional["windows"] = [
            WindowEmbedding.model_validate(
                {
                    "start_s": start_s,
                    "end_s": round(end_s, _SECONDS_DIGITS),
                    "embedding": _encoded(bridged[row], options.encoding),
                    **({"raw": _encoded(raw[row], options.encoding)} if options.raw else {}),
                }
            )
            for row, (start_s, end_s) in enumerate(clip.extent.spans_s, 1)
        ]
    embedding = _encoded(bridged[0], options.encoding)
    return EmbeddedFile.model_validate(
        {"filename": filename, "duration_s": _duration_s(clip), "embedding": embedding, **optional}
    )


def embedded_texts(
    texts: Sequence[str], embeddings: Float32[np.ndarray, "texts dim"], encoding: Encoding
) -> list[EmbeddedText]:
    """The results of texts, in their order."""
    return [
        EmbeddedText(text=text, embedding=_encoded(embedding, encoding))
        for text, embedding in zip(texts, embeddings, strict=True)
    ]


def model_info(pipeline: captioner.Pipeline) -> ModelInfo:
    """What GET /models says."""
    manifest = pipeline.manifest
    return ModelInfo.model_validate(
        {
            **manifest.model_dump(
                include={"name", "version", "licence", "code_revision", "files", "training_data", "metrics"}
            ),
            "created": manifest.created.isoformat(),
            "dim": pipeline.dim,
            "device": pipeline.device_name,
            **pipeline.describe(),
        }
    )


def _duration_s(clip: CaptionedClip | EmbeddedClip) -> float:
    return round(clip.extent.duration_s, _SECONDS_DIGITS)


def _scored(scored: captioner.ScoredCaption) -> ScoredCaption:
    return ScoredCaption(caption=scored.caption, score=round(scored.score, _SCORE_DIGITS))


def _encoded(embedding: Float32[np.ndarray, " dim"], encoding: Encoding) -> Embedding:
    if encoding == "base64":
        return base64.b64encode(embedding.astype("<f4").tobytes()).decode("ascii")
    values: list[float] = embedding.tolist()
    return values
