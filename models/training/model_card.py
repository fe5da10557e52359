"""The model card: what an artifact hears, how it was trained, what was measured, and where it fails; for people.

Written by `export` into the artifact's README.md. Everything in it comes from the recipe, the corpus and the evaluation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.artifact import ArtifactManifest

_INPUTS = {"text": "noised text embeddings of captions", "bridged": "bridged audio embeddings of scenes"}


@dataclass(frozen=True, slots=True)
class Measured:
    """What `evaluate` found of these very weights."""

    metrics: dict[str, Any]
    report: str
    """The tables as Markdown."""


def write_model_card(
    manifest: ArtifactManifest,
    networks: Mapping[str, Mapping[str, Any]],
    sounds: Sequence[str],
    data_notice: str,
    measured: Measured | None,
) -> str:
    """Write the card."""
    sections = {
        "What it hears": _hears(sounds),
        "How it was trained": _trained(manifest, networks),
        "Data and licences": _data(manifest, data_notice),
        "Measured": measured.report.strip() if measured else "Nothing has been measured of these weights yet.",
        "Limits": _limits(len(sounds)),
    }
    head = (
        f"# {manifest.name} {manifest.version}\n\nWrites English captions for sounds: a CLAP encoder, a bridge from audio "
        "to text embeddings, and a language model. Serve it with `diffusion-link serve --artifact` and this directory."
    )
    return "\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def _hears(sounds: Sequence[str]) -> str:
    names = ", ".join(sorted(sound.replace("_", " ") for sound in sounds))
    return f"It was taught {len(sounds)} kinds of sound, and how they are told of in sentences:\n\n{names}."


def _trained(manifest: ArtifactManifest, networks: Mapping[str, Mapping[str, Any]]) -> str:
    facts = [f"| {part} | {_value(values)} |" for part, values in networks.items()]
    bridge = networks["bridge"]["kind"]
    lines = [
        "The encoder learned from mixed scenes and their captions. The bridge and the decoder learned afterwards, the "
        "encoder frozen, on scenes of recordings that the encoder had not been trained on; where a soundfont or a generator "
        "makes the sound, on other pieces of the same instrument. No recording of the test split was used.",
        "",
        "| part | facts |",
        "| --- | --- |",
        *facts,
        "",
        f"- The bridge is of the kind `{bridge}`.",
    ]
    if decoder := manifest.recipe.get("decoder"):
        inputs, total = decoder["inputs"], sum(decoder["inputs"].values())
        shares = (f"{100 * share / total:.0f} % {_INPUTS[name]}" for name, share in inputs.items() if share)
        lines.append(f"- The decoder read {', '.join(shares)}.")
    if unheard := manifest.training_data.get("sounds_without_takes", {}).get("bridge"):
        names = ", ".join(name.replace("_", " ") for name in unheard)
        lines.append(
            f"- Of {len(unheard)} sounds there was one recording, and it went to the encoder; bridge and decoder know them "
            f"from texts alone: {names}."
        )
    if bridge == "diffusion-link":
        lines.append(
            "- Diffusion-Link is after Nam et al. 2025 (arXiv 2510.11330); its formulae here are this project's "
            "reconstruction from the abstract."
        )
    if bridge == "c3":
        lines.append(
            "- The bridge's output does not lie in CLAP's text space, but in that of texts seen from their mean: it cannot "
            "be searched with plain CLAP text embeddings."
        )
    lines.append(
        "- Every setting is in `artifact.json` under `recipe`; it was exported by the code at "
        f"`{manifest.code_revision}` on {manifest.created:%Y-%m-%d}."
    )
    return "\n".join(lines)


def _data(manifest: ArtifactManifest, data_notice: str) -> str:
    facts = "\n".join(f"| {key.replace('_', ' ')} | {_value(value)} |" for key, value in manifest.training_data.items())
    table = f"| corpus | |\n| --- | --- |\n{facts}\n\n" if facts else ""
    notice = f"\n\n{data_notice.strip()}" if data_notice.strip() else ""
    return f"{table}The weights are under this licence: {manifest.licence}{notice}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return f"{len(value)} items" if len(value) > 8 else ", ".join(map(_value, value))
    return str(value).replace("|", "\\|").replace("\n", " ")


def _limits(count: int) -> str:
    lines = [
        f"It knows the {count} kinds of sound above and nothing else; any other sound is given the name of one of these.",
        "It learned on scenes that a program mixed, not on scenes as they were recorded: expect less in the wild.",
        "It hears windows of 10 s. A longer clip's caption is of the mean of its windows; use the timeline for events.",
        "It does not transcribe speech, and names no person, language or piece of music.",
        "`score` is a cosine: good for ranking captions and for thresholds of your own, not a probability.",
        "Do not let anything depend on it that a person would be harmed by, such as alarms.",
    ]
    return "\n".join(f"- {line}" for line in lines)
