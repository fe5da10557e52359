"""The model card: what an artifact hears, how it was trained, what was measured, and where it fails; for people.

Written by `export` into the artifact's README.md. Everything in it comes from the recipe, the corpus and the evaluation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.artifact import ArtifactManifest
from models.training.model_card_sources import DATA_SETS, as_cell, decoder_facts, encoder_facts, part_rows, source_notices


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
    encoder_source: Mapping[str, Any] | None = None,
) -> str:
    """Write the card.

    Args:
        manifest: of the artifact, with its recipe and its training data.
        networks: what `Pipeline.describe` says of them.
        sounds: what the corpus was mixed from; none for a data set of recordings.
        data_notice: of whoever exports; Markdown.
        measured: the evaluation, if there was one.
        encoder_source: source.json of an encoder that was converted from a released one.
    """
    sections = {
        "What it hears": _hears(sounds, _data_set(manifest)),
        "How it was trained": _trained(manifest, networks, encoder_source),
        "Data and licences": _data(manifest, data_notice, encoder_source),
        "Measured": measured.report.strip() if measured else "Nothing has been measured of these weights yet.",
        "Limits": _limits(len(sounds)),
    }
    head = (
        f"# {manifest.name} {manifest.version}\n\nWrites English captions for sounds: a CLAP encoder, a bridge from audio "
        "to text embeddings, and a language model. Serve it with `diffusion-link serve --artifact` and this directory."
    )
    return "\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def _data_set(manifest: ArtifactManifest) -> str | None:
    """The data set of recordings that it was trained on, for people; none where scenes were mixed."""
    data = manifest.recipe.get("data")
    return DATA_SETS[data["kind"]] if data else None


def _hears(sounds: Sequence[str], data_set: str | None) -> str:
    if not sounds:
        return (
            f"What the captions tell of that it was trained on, those of {data_set or 'a data set of recordings'}. There is "
            "no list of sounds that it knows."
        )
    names = ", ".join(sorted(sound.replace("_", " ") for sound in sounds))
    return f"It was taught {len(sounds)} kinds of sound, and how they are told of in sentences:\n\n{names}."


def _trained(
    manifest: ArtifactManifest, networks: Mapping[str, Mapping[str, Any]], encoder_source: Mapping[str, Any] | None
) -> str:
    facts = [f"| {part} | {as_cell(values)} |" for part, values in networks.items()]
    bridge = networks["bridge"]["kind"]
    lines = [
        encoder_facts(manifest.recipe, _data_set(manifest), encoder_source),
        "",
        "| part | facts |",
        "| --- | --- |",
        *facts,
        "",
        f"- The bridge is of the kind `{bridge}`.",
        *(f"- {fact}" for fact in decoder_facts(manifest.recipe)),
    ]
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


def _data(manifest: ArtifactManifest, data_notice: str, encoder_source: Mapping[str, Any] | None) -> str:
    rows = [f"| {name} | {as_cell(value)} |" for name, value in part_rows(manifest.training_data)]
    table = "\n".join(["| corpus | |", "| --- | --- |", *rows]) if rows else ""
    licence = f"The weights are under this licence: {manifest.licence}"
    notices = "\n".join(f"- {notice}" for notice in source_notices(manifest.recipe, encoder_source))
    return "\n\n".join(filter(None, [table, licence, notices, data_notice.strip()]))


def _limits(count: int) -> str:
    if count:
        lines = [
            f"It knows the {count} kinds of sound above and nothing else; any other sound is given the name of one of "
            "these.",
            "It learned on scenes that a program mixed, not on scenes as they were recorded: expect less in the wild.",
        ]
    else:
        lines = ["A sound that the captions of its training seldom or never name is given the name of another."]
    lines += [
        "It hears windows of 10 s. A longer clip's caption is of the mean of its windows; use the timeline for events.",
        "It does not transcribe speech, and names no person, language or piece of music.",
        "`score` is a cosine: good for ranking captions and for thresholds of your own, not a probability.",
        "Do not let anything depend on it that a person would be harmed by, such as alarms.",
    ]
    return "\n".join(f"- {line}" for line in lines)
