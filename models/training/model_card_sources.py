"""What a model card says of where its parts come from: data set, encoder, language model, and who saw what."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DATA_SETS = {
    "audiocaps": "AudioCaps",
    "clotho": "Clotho",
    "wavcaps": "WavCaps",
    "manifest": "recordings of the exporter's own",
}
"""Kind of the recipe's section [data] → name for people."""

_MIXED_HERE = (
    "The encoder learned from mixed scenes and their captions. The bridge and the decoder learned afterwards, the encoder "
    "frozen, on scenes of recordings that the encoder had not been trained on; where a soundfont or a generator makes the "
    "sound, on other pieces of the same instrument. No recording of the test split was used."
)
_TUNED = {
    "lora": "an adapter (LoRA of rank {rank}, α {alpha}, on {targets}) was trained for it",
    "full": "all its weights were trained further",
    "frozen": "its weights are as they were released",
}


def encoder_facts(recipe: Mapping[str, Any], data_set: str | None, source: Mapping[str, Any] | None) -> str:
    """Which encoder it is, and what encoder, bridge and decoder learned from."""
    if data_set is None and recipe.get("clap"):
        return _MIXED_HERE
    learned = f"the training part of {data_set}" if data_set else "scenes that were mixed for it, and their captions"
    return (
        f"The encoder is {_released(source) if source else 'one that was not trained here'}, used as it is: whether it was "
        "trained on clips that are measured below, its authors must say. The bridge and the decoder learned, the encoder "
        f"frozen, from {learned}; neither saw a clip of the validation or test part."
    )


def decoder_facts(recipe: Mapping[str, Any]) -> Iterator[str]:
    """What the decoder read, whether that makes it zero-shot, and which language model it is."""
    decoder = recipe.get("decoder")
    if not decoder:
        return
    clips = "clips" if recipe.get("data") else "scenes"
    read = {"text": "noised text embeddings of captions", "bridged": f"bridged audio embeddings of {clips}"}
    total = sum(decoder["inputs"].values())
    shares = (f"{100 * share / total:.0f} % {read[name]}" for name, share in decoder["inputs"].items() if share)
    yield f"The decoder read {', '.join(shares)}."
    if recipe.get("data"):
        yield _setting(decoder["inputs"])
    model = decoder.get("language_model", {})
    if model.get("kind") == "pretrained":
        tuned = _TUNED[model["tuning"]].format(**_lora(model.get("lora") or {}))
        yield f"The language model is {_released(model)}; {tuned}."


def source_notices(recipe: Mapping[str, Any], encoder_source: Mapping[str, Any] | None) -> Iterator[str]:
    """Whose licences hold beside the exporter's."""
    if encoder_source:
        yield f"The encoder holds the weights of {_released(encoder_source)}: the licence of its authors holds for them."
    model = (recipe.get("decoder") or {}).get("language_model", {})
    if model.get("kind") == "pretrained":
        by_reference = (recipe.get("export") or {}).get("language_model") == "reference"
        holds = "names, and needs," if by_reference else "holds"
        yield (
            f"The decoder {holds} the weights of {_released(model)}: the licence of its authors holds for them, and may ask "
            "things of whoever passes them on."
        )


def part_rows(training_data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Rows of the table of training data; of a data set, one for each part."""
    data = training_data.get("data")
    if not data:
        return [(key.replace("_", " "), value) for key, value in training_data.items()]
    return [("data set", DATA_SETS[data["kind"]]), *((f"part {name}", counts) for name, counts in data["parts"].items())]


def as_cell(value: Any) -> str:
    """A value in words, for a cell of a table; long lists by their length."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {as_cell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return f"{len(value)} items" if len(value) > 8 else ", ".join(map(as_cell, value))
    return str(value).replace("|", "\\|").replace("\n", " ")


def _setting(inputs: Mapping[str, float]) -> str:
    """The setting as the field names it; the bridge learns from pairs in either."""
    if not inputs["bridged"]:
        return "Zero-shot, for the decoder: it read captions and no audio. The bridge saw the clips with their captions."
    alone = "; the decoder read captions alone, too" if inputs["text"] else ""
    return f"Supervised: bridge and decoder saw the clips with their captions{alone}."


def _released(source: Mapping[str, Any]) -> str:
    """A released model by the name of its hub or file; of a folder on somebody's disk, only its own name."""
    name, revision = str(source["source"]), source.get("revision")
    shown = Path(name).name if Path(name).is_absolute() else name
    return f"the released `{shown}`" + (f" at revision `{revision}`" if revision else "")


def _lora(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings of an adapter in words; any are missing where there is none."""
    targets = settings.get("targets") or []
    return {**{key: str(settings.get(key)) for key in ("rank", "alpha")}, "targets": ", ".join(map(str, targets))}
