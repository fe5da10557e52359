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
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the bridge's noise and of sampled candidates.")
    bridge: bool = Field(True, description="False gives the decoder the unbridged CLAP embedding, for comparison.")


class BridgeOptions(_Frozen):
    """The query of POST /bridge."""

    encoding: Encoding = Field("float", description="float: JSON numbers; base64: little-endian float32.")
    windows: bool = Field(False, description="Also the embedding of each window of 10 s.")
    raw: bool = Field(False, description="Also the unbridged CLAP embedding.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the bridge's noise.")


class TextOptions(_Frozen):
    """The query of POST /text."""

    encoding: Encoding = Field("float", description="float: JSON numbers; base64: little-endian float32.")


class NoOptions(_Frozen):
    """A path without query parameters refuses them all."""


class TextRequest(_Frozen):
    """The body of POST /text."""

    texts: list[str] = Field(min_length=1, description="Texts to embed; none of them blank.")


Embedding = list[float] | str


class ErrorDetail(_Frozen):
    """What went wrong with one file."""

    type: str = Field(description="A name for programs; the list is in each path's error responses.")
    message: str = Field(description="A sentence for people.")


class RequestError(ErrorDetail):
    """What went wrong with a request."""

    request_id: str = Field(description="Also in the x-request-id header and in the service's log.")


class ErrorBody(_Frozen):
    """The body of every error response."""

    error: RequestError


class FailedFile(_Frozen):
    """A file of a request that could not be used; the others were."""

    filename: str | None
    error: ErrorDetail


_SCORE = "Cosine of the bridged embedding and CLAP's text embedding of the caption."


class ScoredCaption(_Frozen):
    """A caption and how well it fits."""

    caption: str
    score: float = Field(description=_SCORE)


class TimelineEntry(_Frozen):
    """The caption of one window."""

    start_s: float
    end_s: float
    caption: str
    score: float = Field(description=_SCORE)


class CaptionedFile(_Frozen):
    """The caption of one file."""

    filename: str | None = Field(description="As sent in the form; null for a raw body.")
    duration_s: float
    caption: str
    score: float = Field(description=_SCORE)
    candidates: list[ScoredCaption] | None = Field(None, description="All candidates, when more than one was asked for.")
    timeline: list[TimelineEntry] | None = Field(None, description="One entry a window, when timeline was asked for.")


class CaptionResponse(_Frozen):
    """The answer of POST /caption; results are in the order of the files."""

    model: str
    results: list[CaptionedFile | FailedFile]


class WindowEmbedding(_Frozen):
    """The embedding of one window."""

    start_s: float
    end_s: float
    embedding: Embedding
    raw: Embedding | None = None


class EmbeddedFile(_Frozen):
    """The bridged, text-space embedding of one file; unit length."""

    filename: str | None
    duration_s: float
    embedding: Embedding
    windows: list[WindowEmbedding] | None = None
    raw: Embedding | None = Field(None, description="The unbridged CLAP audio embedding; unit length.")


class BridgeResponse(_Frozen):
    """The answer of POST /bridge; results are in the order of the files."""

    model: str
    dim: int
    results: list[EmbeddedFile | FailedFile]


class EmbeddedText(_Frozen):
    """The CLAP text embedding of one text; unit length."""

    text: str
    embedding: Embedding


class TextResponse(_Frozen):
    """The answer of POST /text; results are in the order of the texts."""

    model: str
    dim: int
    results: list[EmbeddedText]


class ModelInfo(_Frozen):
    """What is served: facts of the artifact and of the networks in it."""

    name: str
    version: str
    created: str = Field(description="ISO 8601, with the time zone.")
    licence: str
    code_revision: str
    dim: int = Field(description="Width of every embedding.")
    device: str
    encoder: dict[str, Any]
    bridge: dict[str, Any]
    decoder: dict[str, Any]
    files: dict[str, str] = Field(description="sha256 of every file of the artifact.")
    training_data: dict[str, Any]
    metrics: dict[str, Any] = Field(description="What was measured on the test split.")


class ModelsResponse(_Frozen):
    """The answer of GET /models: one model a service."""

    models: list[ModelInfo]


class HealthResponse(_Frozen):
    """The answer of a healthy service."""

    status: Literal["ok"] = "ok"
