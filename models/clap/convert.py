"""`convert clap`: a released encoder, of transformers or LAION, as the folder that `load_clap` reads.

The folder holds float32 safetensors, the tokenizer, and source.json, which says what it was made from.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, ClapConfig, ClapModel, PreTrainedTokenizerBase

from models.checksum import sha256_of
from models.clap.checkpoint_file import read_checkpoint
from models.clap.encoder import ClapEncoder
from models.clap.laion import NotCheckedError, laion_agreement
from models.clap.laion_checkpoint import laion_config, transformers_state
from models.clap.store import check_preprocessor, clap_class, load_clap, read_config, save_clap
from models.clap.strict_state import fill_clap
from models.errors import SourceError
from models.hub import fetch_source
from models.output import say, say_written

SOURCE_FILE = "source.json"
_LAION_SUFFIXES = (".pt", ".pth")
_LAION_TOKENIZER = "FacebookAI/roberta-base"
_LEAST_COSINE = 0.9999
"""With laion-clap. Both compute in float32, but the Fourier transforms differ."""


@dataclass(frozen=True, slots=True)
class _Release:
    """A released encoder as it was found, its tensors under transformers' names."""

    source: str
    format: Literal["transformers", "laion"]
    revision: str | None
    sha256: dict[str, str]
    """Of each file that held weights."""
    config: ClapConfig
    model_class: type[ClapModel]
    state: dict[str, Tensor]
    laion_state: dict[str, Tensor] | None
    tokenizer: PreTrainedTokenizerBase


def convert_clap(
    source: str,
    output: Path,
    *,
    revision: str | None = None,
    tokenizer: str | None = None,
    trusted_sha256: str | None = None,
) -> None:
    """Write the encoder of `source` into `output`, all or nothing.

    Args:
        source: folder or hub id of a transformers `ClapModel`, or a checkpoint of LAION's, whose name ends in .pt or .pth.
        output: a folder that is not there yet, or is empty.
        revision: of the hub.
        tokenizer: folder or hub id; the source's own where not given, roberta-base's for a checkpoint.
        trusted_sha256: sum of a checkpoint that may run code while it is loaded.

    Raises:
        SourceError: the source cannot be had, read or used; an option does not go with it; or `output` holds something.
        ArtifactError: a file of a transformers folder is at fault.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SourceError(f"{output} exists and is not an empty folder")
    if source.endswith(_LAION_SUFFIXES):
        release = _read_laion(source, revision, tokenizer or _LAION_TOKENIZER, trusted_sha256)
    else:
        release = _read_transformers(source, revision, tokenizer, trusted_sha256)
    encoder = _encoder(release)
    _say_sizes(release, encoder)
    if release.laion_state is not None:
        _say_agreement(encoder, release.laion_state)
    _write(encoder, release, output)
    say_written(output)


def _read_laion(source: str, revision: str | None, tokenizer: str, trusted_sha256: str | None) -> _Release:
    if revision is not None:
        raise SourceError(f"{source} is a file, which has no revision {revision!r}")
    state, sha256 = read_checkpoint(Path(source), trusted_sha256)
    return _Release(
        source=source,
        format="laion",
        revision=None,
        sha256={Path(source).name: sha256},
        config=laion_config(state),
        model_class=ClapModel,
        state=transformers_state(state),
        laion_state=state,
        tokenizer=_read_tokenizer(fetch_source(tokenizer, weights=False).folder),
    )


def _read_transformers(source: str, revision: str | None, tokenizer: str | None, trusted_sha256: str | None) -> _Release:
    if trusted_sha256 is not None:
        raise SourceError(f"--trust-pickle is for checkpoints of LAION's (.pt); nothing of {source} is pickled")
    fetched = fetch_source(source, revision)
    folder = fetched.folder
    content = read_config(folder)
    check_preprocessor(folder)
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise SourceError(
            f"{folder} holds no safetensors, and pickled weights of transformers are not read. Take a revision that has "
            "them, or write them: ClapModel.from_pretrained(SOURCE).save_pretrained(FOLDER)"
        )
    return _Release(
        source=source,
        format="transformers",
        revision=fetched.revision,
        sha256={path.name: sha256_of(path) for path in paths},
        config=_clap_config(content, folder),
        model_class=clap_class(content),
        state={name: tensor for path in paths for name, tensor in _load_file(path).items()},
        laion_state=None,
        tokenizer=_read_tokenizer(folder if tokenizer is None else fetch_source(tokenizer, weights=False).folder),
    )


def _encoder(release: _Release) -> ClapEncoder:
    try:
        model = release.model_class(release.config)
    # transformers and torch raise whatever sizes that do not go together lead them to.
    except Exception as error:
        raise SourceError(f"{release.source}: transformers cannot build a CLAP of its sizes: {error}") from error
    fill_clap(model, release.state)
    text_config: Any = model.config.text_config
    tokens, places = len(release.tokenizer), text_config.vocab_size
    if tokens > places or release.tokenizer.pad_token_id != text_config.pad_token_id:
        raise SourceError(
            f"the tokenizer is not the text tower's: {tokens} tokens, padding {release.tokenizer.pad_token_id}; "
            f"the tower has {places}, padding {text_config.pad_token_id}"
        )
    return ClapEncoder(model, release.tokenizer).eval().requires_grad_(False)


def _say_agreement(encoder: ClapEncoder, state: dict[str, Tensor]) -> None:
    """Compare with laion-clap where it is installed, and say what came of it."""
    try:
        audio, text = laion_agreement(encoder, state)
    except NotCheckedError as error:
        say(f"not checked against laion-clap: {error}", not_checked=str(error))
        return
    # NaN is no agreement.
    if not (audio >= _LEAST_COSINE and text >= _LEAST_COSINE):
        raise SourceError(f"laion-clap embeds otherwise: cosine {audio:.6f} of audio, {text:.6f} of text")
    said = f"checked against laion-clap: cosine {audio:.6f} of audio, {text:.6f} of text"
    say(said, cosine_to_laion_clap={"audio": audio, "text": text})


def _say_sizes(release: _Release, encoder: ClapEncoder) -> None:
    model = encoder.model
    text_config: Any = model.config.text_config
    tower = "CNN" if release.model_class is not ClapModel else "HTSAT, fused" if encoder.is_fused else "HTSAT, not fused"
    revision = f", revision {release.revision}" if release.revision else ""
    parts = {"audio_tower": model.audio_model, "text_tower": model.text_model, "encoder": model}
    counts = {part: sum(tensor.numel() for tensor in module.parameters()) for part, module in parts.items()}
    lines = (
        f"{release.source}: {release.format}{revision}",
        f"audio tower {tower}, width {encoder.pooled_dim}, {counts['audio_tower'] / 1e6:.1f} M parameters",
        f"text tower RoBERTa, width {text_config.hidden_size}, {counts['text_tower'] / 1e6:.1f} M parameters",
        f"embeddings of width {encoder.dim}, {counts['encoder'] / 1e6:.1f} M parameters in all",
    )
    say(
        "\n".join(lines),
        source=release.source,
        format=release.format,
        revision=release.revision,
        audio_tower=tower,
        dim=encoder.dim,
        parameters=counts,
    )


def _write(encoder: ClapEncoder, release: _Release, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as beside:
        new = Path(beside) / output.name
        save_clap(encoder, new)
        source = {name: getattr(release, name) for name in ("source", "revision", "format", "sha256")}
        (new / SOURCE_FILE).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
        # What is to be served is read as it will be then, before anything takes it for finished.
        load_clap(new)
        if output.exists():
            output.rmdir()
        new.rename(output)


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # transformers raises whatever its tokenizer classes happen to raise on files that do not fit together.
    except Exception as error:
        raise SourceError(f"{folder}: transformers cannot load the tokenizer: {error}") from error
    return tokenizer


def _clap_config(content: dict[str, Any], folder: Path) -> ClapConfig:
    try:
        return ClapConfig.from_dict(content)
    # As above: whatever the values of the file lead to.
    except Exception as error:
        raise SourceError(f"{folder / 'config.json'}: transformers cannot use it: {error}") from error


def _load_file(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise SourceError(f"{path} is not a readable safetensors file: {error}") from error
