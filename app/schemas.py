"""Bodies of requests and responses, and the query parameters.

What a field means is said here, once, for code and OpenAPI.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Encoding = Literal["float", "base64"]
MAX_SEED = 2**63 - 1
MAX_CANDIDATES = 8
MAX_NEW_TOKENS = 64


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaptionOptions(_Frozen):
    """How to caption a clip: the query of POST /caption and the flags of the command line."""

    candidates: int = Field(
        1,
        ge=1,
        le=MAX_CANDIDATES,
        description="Most captions for each clip, best score first; repeats are left out.",
    )
    timeline: bool = Field(False, description="Also caption each window of 10 s.")
    max_new_tokens: int = Field(32, ge=1, le=MAX_NEW_TOKENS, description="Most tokens of a caption.")
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Seed of the bridge's noise and of sampled candidates, from 0 to 2^63 - 1."
    )
    bridge: bool = Field(True, description="False gives the decoder the unbridged CLAP embedding, for comparison.")


class BridgeOptions(_Frozen):
    """The query of POST /bridge."""

    encoding: Encoding = Field("float", description="float: JSON numbers; base64: little-endian float32.")
    windows: bool = Field(False, description="Also the embedding of each window of 10 s.")
    raw: bool = Field(False, description="Also the unbridged CLAP embedding.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the bridge's noise, from 0 to 2^63 - 1.")


class TextOptions(_Frozen):
    """The query of POST /text."""

    encoding: Encoding = Field("float", description="float: JSON numbers; base64: little-endian float32.")


class NoOptions(_Frozen):
    """A path without query parameters refuses them all."""


class TextRequest(_Frozen):
    """The body of POST /text."""

    texts: list[str] = Field(min_length=1, description="Texts to embed; none of them blank.")


Embedding = list[float] | str
_MODEL = "Name of the artifact."
_DIM = "Width of every embedding."
_FILENAME = "As sent in the form; null for a raw body."
_DURATION_S = "Seconds of the sound."
_START_S = "Seconds from the beginning of the sound to that of the window."
_END_S = "Seconds from the beginning of the sound to the end of the window."
_CAPTION = "What is heard."
_RESULTS = "One for each file, in their order."
_EMBEDDING = "Unit length; dim numbers, or their little-endian float32 in base64, as encoding says."
_RAW = "The unbridged CLAP audio embedding, of unit length, when raw was asked for."
_SCORE = "Cosine of the bridged embedding and CLAP's text embedding of the caption."


class ErrorDetail(_Frozen):
    """What went wrong with one file."""

    type: str = Field(description="A name for programs; the list is in each path's error responses.")
    message: str = Field(description="A sentence for people.")


class RequestError(ErrorDetail):
    """What went wrong with a request."""

    request_id: str = Field(description="Also in the x-request-id header and in the service's log.")


class ErrorBody(_Frozen):
    """The body of every error response."""

    error: RequestError = Field(description="What went wrong.")


class FailedFile(_Frozen):
    """A file of a request that could not be used; the others were."""

    filename: str | None = Field(description=_FILENAME)
    error: ErrorDetail = Field(description="What went wrong with this file.")


class ScoredCaption(_Frozen):
    """A caption and how well it fits."""

    caption: str = Field(description=_CAPTION)
    score: float = Field(description=_SCORE)


class TimelineEntry(_Frozen):
    """The caption of one window."""

    start_s: float = Field(description=_START_S)
    end_s: float = Field(description=_END_S)
    caption: str = Field(description=_CAPTION)
    score: float = Field(description=_SCORE)


class CaptionedFile(_Frozen):
    """The caption of one file."""

    filename: str | None = Field(description=_FILENAME)
    duration_s: float = Field(description=_DURATION_S)
    caption: str = Field(description=_CAPTION)
    score: float = Field(description=_SCORE)
    candidates: list[ScoredCaption] | None = Field(None, description="All candidates, when more than one was asked for.")
    timeline: list[TimelineEntry] | None = Field(None, description="One entry a window, when timeline was asked for.")


class CaptionResponse(_Frozen):
    """The answer of POST /caption; results are in the order of the files."""

    model: str = Field(description=_MODEL)
    results: list[CaptionedFile | FailedFile] = Field(description=_RESULTS)


class WindowEmbedding(_Frozen):
    """The embedding of one window."""

    start_s: float = Field(description=_START_S)
    end_s: float = Field(description=_END_S)
    embedding: Embedding = Field(description=_EMBEDDING)
    raw: Embedding | None = Field(None, description=_RAW)


class EmbeddedFile(_Frozen):
    """The bridged, text-space embedding of one file; unit length."""

    filename: str | None = Field(description=_FILENAME)
    duration_s: float = Field(description=_DURATION_S)
    embedding: Embedding = Field(description=_EMBEDDING)
    windows: list[WindowEmbedding] | None = Field(None, description="One entry a window, when windows was asked for.")
    raw: Embedding | None = Field(None, description=_RAW)


class BridgeResponse(_Frozen):
    """The answer of POST /bridge; results are in the order of the files."""

    model: str = Field(description=_MODEL)
    dim: int = Field(description=_DIM)
    results: list[EmbeddedFile | FailedFile] = Field(description=_RESULTS)


class EmbeddedText(_Frozen):
    """The CLAP text embedding of one text; unit length."""

    text: str = Field(description="As sent.")
    embedding: Embedding = Field(description=_EMBEDDING)


class TextResponse(_Frozen):
    """The answer of POST /text; results are in the order of the texts."""

    model: str = Field(description=_MODEL)
    dim: int = Field(description=_DIM)
    results: list[EmbeddedText] = Field(description="One for each text, in their order.")


class ModelInfo(_Frozen):
    """What is served: facts of the artifact and of the networks in it."""

    name: str = Field(description="Name of the artifact.")
    version: str = Field(description="Version of the artifact.")
    created: str = Field(description="ISO 8601, with the time zone.")
    licence: str = Field(description="Licence of the artifact.")
    code_revision: str = Field(description="Commit of the code that made it.")
    dim: int = Field(description="Width of every embedding.")
    device: str = Field(description="What it runs on, as cpu or cuda:0.")
    encoder: dict[str, Any] = Field(description="The CLAP encoder: classes, parameters, precision.")
    bridge: dict[str, Any] = Field(description="The bridge into text space: class, kind, parameters, precision.")
    decoder: dict[str, Any] = Field(description="The language model that writes captions.")
    files: dict[str, str] = Field(description="sha256 of every file of the artifact.")
    training_data: dict[str, Any] = Field(description="What it was trained on.")
    metrics: dict[str, Any] = Field(description="What was measured on the test split.")


class ModelsResponse(_Frozen):
    """The answer of GET /models: one model a service."""

    models: list[ModelInfo] = Field(description="One.")


class HealthResponse(_Frozen):
    """The answer of a healthy service."""

    status: Literal["ok"] = Field("ok", description="Always ok; what is not is an error.")
