"""Examples of /openapi.json: a command, and what the service with the embedded artifact answers to it.

A test runs every command and compares. Embeddings and what is said of the artifact are shortened, so that they can be read.
"""

import json
from dataclasses import dataclass
from typing import Any

_URL = "http://127.0.0.1:8000"
_SNARE = {"duration_s": 0.445, "caption": "a snare drum plays", "score": 0.9925}
_FORM = "-F file=@examples/snare_drum.wav"
_SHORTENED = "Embeddings are shortened to three numbers here."

TEXTS = {"texts": ["a snare drum plays", "a pig grunts"]}


@dataclass(frozen=True, slots=True)
class Example:
    """One command and its answer."""

    summary: str
    command: str
    answer: dict[str, Any]
    note: str = ""


_CAPTION = {
    "form": Example(
        "One file in a form",
        f"curl {_FORM} {_URL}/caption",
        {"model": "embedded", "results": [{"filename": "snare_drum.wav", **_SNARE}]},
    ),
    "raw": Example(
        "The file itself as the body",
        f"curl -H 'Content-Type: audio/wav' --data-binary @examples/snare_drum.wav {_URL}/caption",
        {"model": "embedded", "results": [{"filename": None, **_SNARE}]},
    ),
    "several": Example(
        "Several files, of which one is no sound",
        f"curl {_FORM} -F file=@examples/README.md {_URL}/caption",
        {
            "model": "embedded",
            "results": [
                {"filename": "snare_drum.wav", **_SNARE},
                {
                    "filename": "README.md",
                    "error": {"type": "unreadable_audio", "message": "not a WAV, FLAC, OGG or MP3 file"},
                },
            ],
        },
    ),
    "timeline": Example(
        "Candidates, and a timeline",
        f"curl -F file=@examples/forty_seconds.mp3 '{_URL}/caption?candidates=3&timeline=true'",
        {
            "model": "embedded",
            "results": [
                {
                    "filename": "forty_seconds.mp3",
                    "duration_s": 40.0,
                    "caption": "a short melody plays on a device",
                    "score": 0.9813,
                    "candidates": [
                        {"caption": "a short melody plays on a device", "score": 0.9813},
                        {"caption": "a chime sounds", "score": 0.9811},
                        {"caption": "a notification chimes", "score": 0.9801},
                    ],
                    "timeline": [
                        {"start_s": 0.0, "end_s": 10.0, "caption": "a snake hisses", "score": 0.97},
                        {"start_s": 10.0, "end_s": 20.0, "caption": "a music box plays", "score": 0.9883},
                        {"start_s": 20.0, "end_s": 30.0, "caption": "a synthesizer drones", "score": 0.9748},
                        {"start_s": 30.0, "end_s": 40.0, "caption": "a snare drum is hit", "score": 0.9946},
                    ],
                }
            ],
        },
    ),
}
_BRIDGE = {
    "form": Example(
        "One file in a form",
        f"curl {_FORM} {_URL}/bridge",
        {
            "model": "embedded",
            "dim": 256,
            "results": [{"filename": "snare_drum.wav", "duration_s": 0.445, "embedding": [-0.0437, 0.1702, -0.0336]}],
        },
        _SHORTENED,
    ),
    "windows": Example(
        "Windows and unbridged embeddings, as base64",
        f"curl {_FORM} '{_URL}/bridge?encoding=base64&windows=true&raw=true'",
        {
            "model": "embedded",
            "dim": 256,
            "results": [
                {
                    "filename": "snare_drum.wav",
                    "duration_s": 0.445,
                    "embedding": "N/MyvYFQLj4TrAm9",
                    "windows": [
                        {"start_s": 0.0, "end_s": 0.445, "embedding": "M/MyvYFQLj4SrAm9", "raw": "sJ3HvTmw7D0qsku8"}
                    ],
                    "raw": "r53HvTiw7D0psku8",
                }
            ],
        },
        _SHORTENED,
    ),
}
_TEXT = {
    "texts": Example(
        "Two texts",
        f"curl -H 'Content-Type: application/json' -d '{json.dumps(TEXTS)}' {_URL}/text",
        {
            "model": "embedded",
            "dim": 256,
            "results": [
                {"text": "a snare drum plays", "embedding": [-0.0597, 0.1608, -0.0403]},
                {"text": "a pig grunts", "embedding": [0.0259, 0.1535, 0.0054]},
            ],
        },
        _SHORTENED,
    )
}
_MODELS = {
    "embedded": Example(
        "The artifact that ships with the package",
        f"curl {_URL}/models",
        {
            "models": [
                {
                    "name": "embedded",
                    "version": "1",
                    "created": "2026-11-25T00:34:20+00:00",
                    "licence": "MIT",
                    "code_revision": "3a42da1800744b28eaba395a6470ae295f50f3d7",
                    "dim": 256,
                    "device": "cpu",
                    "encoder": {"class": "CnnClapModel", "parameters": 2007458, "precision": "fp32"},
                    "bridge": {"class": "DiffusionLink", "kind": "diffusion-link", "parameters": 1807872},
                    "decoder": {"class": "CaptionDecoder", "language_model": "GPT2LMHeadModel", "parameters": 2061760},
                    "files": {"bridge/config.json": "cf8736261d839d62d1e3a9daa0cf16925ddd3dfd77645006230354e7b6647c57"},
                    "training_data": {"sounds": 142},
                    "metrics": {"split": "test", "singles": 217, "scenes": 800},
                }
            ]
        },
        "The objects are shortened here.",
    )
}
EXAMPLES = {
    "/caption": _CAPTION,
    "/bridge": _BRIDGE,
    "/text": _TEXT,
    "/models": _MODELS,
    "/health/live": {"live": Example("A live service", f"curl {_URL}/health/live", {"status": "ok"})},
    "/health/ready": {"ready": Example("A ready service", f"curl {_URL}/health/ready", {"status": "ok"})},
}
"""By path and name."""


def openapi_examples(path: str) -> dict[str, Any]:
    """The examples of one path as OpenAPI has them."""
    return {
        name: {
            "summary": example.summary,
            "description": f"`{example.command}`\n\n{example.note}".strip(),
            "value": example.answer,
        }
        for name, example in EXAMPLES[path].items()
    }
