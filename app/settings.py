"""ServiceSettings: everything that can be set about the service, with its unit; from `DIFFUSION_LINK_*` variables.

The object is made once, passed to `create_app`, and never changes.
"""

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.artifact import EMBEDDED_ARTIFACT

_MIB = 1024 * 1024


class ServiceSettings(BaseSettings):
    """Settings of one service process."""

    model_config = SettingsConfigDict(env_prefix="DIFFUSION_LINK_", frozen=True, extra="forbid")

    artifact: Path | None = Field(None, description="Artifact directory; unset serves the one that ships with the package.")
    device: str = Field("auto", description="cpu, cuda, cuda:N, mps, or auto: the first CUDA GPU, else the CPU.")
    precision: str = Field(
        "auto",
        description="fp32, bf16, fp16, or auto: bf16 on a GPU that computes with it, else fp32. For encoder and decoder.",
    )
    compile: bool = Field(
        False,
        description="Compile the encoder's audio tower before the service is ready; needs a C++ compiler, takes minutes.",
    )
    cpu_threads: int | None = Field(None, ge=1, description="Threads of one computation on the CPU; unset: one a core.")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every interface.")
    port: int = Field(8000, ge=0, le=65_535, description="TCP port; 0 takes a free one and prints it.")
    api_keys_file: Path | None = Field(
        None, description="File of API keys, one a line; all but /health/* and the page then needs one of them."
    )

    max_upload_bytes: int = Field(64 * _MIB, ge=1, description="Bytes of one request's body, all files together.")
    max_files: int = Field(16, ge=1, description="Files in one request.")
    max_duration_s: float = Field(600.0, gt=0, description="Seconds of one clip, counted while decoding.")
    max_texts: int = Field(256, ge=1, description="Texts in one POST /text.")
    max_text_chars: int = Field(1_000, ge=1, description="Characters of one text.")

    queue_capacity: int = Field(
        64,
        ge=1,
        description="Files, and text requests, that may be in the service at once, from upload to answer; the next one is "
        "refused with 429. Memory for uploads is at most this times max_upload_bytes.",
    )
    embed_max_batch_cost: int | None = Field(
        None,
        ge=1,
        description="Windows of 10 s that are embedded at once; unset: what a GPU has memory for (`diffusion-link plan` "
        "says it), 8 on a CPU.",
    )
    write_max_batch_cost: int | None = Field(
        None,
        ge=1,
        description="Tokens written at once: candidates times max_new_tokens, summed over captions; unset: what a GPU has "
        "memory for, 1,024 on a CPU.",
    )
    decode_workers: int = Field(2, ge=1, description="Threads that decode and resample audio.")

    max_wait_ms: float = Field(
        0.0,
        ge=0,
        description="Milliseconds that an item waits for company before a batch is formed, counted from the first.",
    )

    request_timeout_s: float = Field(60.0, gt=0, description="Seconds from a request's first byte to its answer, or 504.")
    batch_timeout_s: float = Field(
        60.0, gt=0, description="Seconds that one batch may take; past them the service says that it is not live."
    )
    drain_timeout_s: float = Field(30.0, gt=0, description="Seconds that accepted requests have to finish on shutdown.")

    @property
    def artifact_folder(self) -> Path:
        """What is served: the artifact that is set, or else the one that ships with the package."""
        return self.artifact or EMBEDDED_ARTIFACT

    @property
    def max_text_body_bytes(self) -> int:
        r"""Bytes of the body of POST /text: every text at its longest, written with JSON's \\u escapes."""
        return self.max_texts * (12 * self.max_text_chars + 16) + 1_024

    @model_validator(mode="after")
    def _one_request_fits(self) -> "ServiceSettings":
        if self.max_files > self.queue_capacity:
            raise ValueError(f"max_files ({self.max_files}) is more than queue_capacity ({self.queue_capacity})")
        return self
