"""What OpenAPI says of the body of the paths that take audio: handlers read it themselves, bounded."""

from typing import Any

_BINARY = {"schema": {"type": "string", "format": "binary"}}
AUDIO_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One or several WAV, FLAC, OGG or MP3 files.",
                        }
                    },
                }
            },
            "audio/*": _BINARY,
        },
    }
}
