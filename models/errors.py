"""The one tree of errors that this package raises; `type` is the name that users see.

DiffusionLinkError
├── InputError                 what a caller sent is at fault, and only that one item
│   ├── AudioError
│   │   ├── EmptyAudioError         no bytes, or no samples
│   │   ├── UnreadableAudioError    not WAV, FLAC, OGG or MP3
│   │   ├── DamagedAudioError       the header promises what the file does not hold, or samples are not finite
│   │   ├── UnsupportedAudioError   sample rate or channel count outside the limits
│   │   ├── AudioTooShortError
│   │   └── AudioTooLongError
│   └── TextError
├── ArtifactError              a served artifact is missing, damaged or of another version
├── DeviceError                the device asked for is not there
│   └── DeviceMemoryError           what was asked of it at once does not fit into its memory
├── RecipeError                a training recipe or a table it names is wrong
└── TrainingError              a training or evaluation stage lacks what an earlier stage makes
"""

from pathlib import Path

from pydantic import ValidationError


class DiffusionLinkError(Exception):
    """Root of every error this project raises on purpose."""

    type = "internal_error"


class InputError(DiffusionLinkError):
    """One item that a caller sent cannot be used; its neighbours can."""

    type = "invalid_input"


class AudioError(InputError):
    """One audio file cannot be used."""

    type = "invalid_audio"


class EmptyAudioError(AudioError):
    """The file has no bytes or no samples."""

    type = "empty_audio"


class UnreadableAudioError(AudioError):
    """The bytes are in none of the supported formats."""

    type = "unreadable_audio"


class DamagedAudioError(AudioError):
    """The file contradicts its own header or holds samples that are not finite."""

    type = "damaged_audio"


class UnsupportedAudioError(AudioError):
    """The sample rate or the number of channels is outside the limits."""

    type = "unsupported_audio"


class AudioTooShortError(AudioError):
    """The clip is shorter than the shortest one that can be captioned."""

    type = "audio_too_short"


class AudioTooLongError(AudioError):
    """The clip is longer than the limit."""

    type = "audio_too_long"


class TextError(InputError):
    """One text cannot be embedded."""

    type = "invalid_text"


class ArtifactError(DiffusionLinkError):
    """A file of an artifact cannot be used."""

    type = "artifact_error"

    def __init__(self, path: Path | str, reason: str) -> None:
        """Name the file at fault and the reason."""
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


class DeviceError(DiffusionLinkError):
    """The device asked for is not available."""

    type = "device_error"


class DeviceMemoryError(DeviceError):
    """The device has not enough memory for what was asked of it at once."""

    type = "out_of_memory"


class SourceError(DiffusionLinkError):
    """A released model cannot be had, or is not one that can be used."""

    type = "source_error"


class RecipeError(DiffusionLinkError):
    """A recipe, or a table that it names, is wrong."""

    type = "recipe_error"


class TrainingError(DiffusionLinkError):
    """A stage cannot run because of what an earlier stage left, or did not leave."""

    type = "training_error"


def validation_faults(error: ValidationError, whole: str = "") -> list[str]:
    """What pydantic found, a sentence each: where and what; `whole` names a fault that lies nowhere in particular."""
    faults = error.errors(include_url=False)
    return [f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}" for fault in faults]
