"""What OpenAPI says of the body of the paths that take audio: handlers read it themselves, bounded."""

from typing import Any

_BINARY = {"type": "string", "format": "binary"}
_FILES = {
    "type": "array",
    "items": _BINARY,
    "minItems": 1,
    "description": "One or several WAV, FLAC, OGG or MP3 files, up to 16. Their own content types do not matter.",
}
_RAW_TYPES = ("audio/wav", "audio/flac", "audio/ogg", "audio/mpeg", "audio/*")
"""Any audio/* is taken: the format is read from the bytes."""


def audio_body(path: str) -> dict[str, Any]:
    """The body of one of these paths."""
    form = {"type": "object", "required": ["file"], "properties": {"file": _FILES}}
    return {
        "requestBody": {
            "required": True,
            "description": "Sounds, 64 MiB together, in one of two forms. In the part `file`, one or several, of a form: "
            f"`curl -F file=@a.wav -F file=@b.mp3 http://127.0.0.1:8000{path}`. Or one sound as the body itself: "
            f"`curl -H 'Content-Type: audio/wav' --data-binary @a.wav http://127.0.0.1:8000{path}`. The format is read from "
            "the bytes, whatever name and content type say.",
            "content": {"multipart/form-data": {"schema": form}} | {kind: {"schema": _BINARY} for kind in _RAW_TYPES},
        }
    }
