"""`diffusion-link search`: the sounds of an index that are nearest to words."""

import os
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

from app.loading import load_pipeline
from app.local_files import shown_name
from app.output import print_json, table_console
from app.settings import ServiceSettings
from app.sound_index import SoundIndex
from models.errors import TextError

_COSINE_DIGITS = 4
"""Beyond these a cosine is noise of float32."""


def search(text: str, index_file: Path, count: int, settings: ServiceSettings, *, as_json: bool) -> int:
    """Print the `count` sounds whose bridged embeddings are nearest to a text's; returns the exit status.

    Raises:
        TextError: the text is blank, too long, or no text.
        SoundIndexError: the index is not there, damaged, or another artifact's.
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there or too small, or cannot do what was asked of it.
    """
    _check_text(text, settings.max_text_chars)
    index = SoundIndex.load(index_file)
    pipeline = load_pipeline(settings)
    index.check_artifact(index_file, pipeline.manifest, pipeline.dim)
    (query,) = pipeline.embed_texts([text])
    found = [(name, round(cosine, _COSINE_DIGITS)) for name, cosine in index.search(query, count)]
    if as_json:
        for name, cosine in found:
            print_json({"file": os.path.join(index.folder, name), "cosine": cosine})  # noqa: PTH118, a name is bytes
        return 0
    table = Table(
        *(Column(name, overflow="fold") for name in ("File", "Cosine")),
        title=Text(shown_name(index.folder)),
        title_justify="left",
    )
    for name, cosine in found:
        table.add_row(Text(shown_name(name)), f"{cosine:.4f}")
    table_console().print(table)
    return 0


def _check_text(text: str, max_chars: int) -> None:
    if not text.strip():
        raise TextError("the text is blank")
    if len(text) > max_chars:
        raise TextError(f"{len(text)} characters; a text may have {max_chars}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError("the text is not UTF-8") from error
