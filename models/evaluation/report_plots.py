"""Which plots a report of a comparison holds, and the sentence beneath each. Needs matplotlib."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from models.bridge.interface import Bridge
from models.evaluation.comparison_plots import (
    LINES,
    BridgedScenes,
    cosine_histograms,
    gap_against_retrieval,
    migration,
    migrations,
)
from models.evaluation.document import Plot
from models.evaluation.gap_report import OURS, PLAIN, GapReport
from models.evaluation.sweep_plots import sweep_plot
from models.evaluation.sweeps import SHOWN, SweepReport, shown_title, sweep_title
from models.training.embed import EmbeddingSet


def gap_plots(report: GapReport, bridges: Mapping[str, Bridge], held_out: EmbeddingSet, device: torch.device) -> list[Plot]:
    """Migration, paired cosines and the gap against retrieval; `bridges` are those of the report's first seed."""
    seed = report.seeds[0]
    scenes = []
    for compared in report.bridges:
        sides = _sides(bridges[compared.name], held_out, seed, device)
        scenes.append(BridgedScenes(compared.name, compared.kind, compared.own_space, *sides))
    cosines = cosine_histograms(held_out.audio, held_out.text, scenes, "paired-cosines")
    retrieval = gap_against_retrieval(report, "gap-retrieval")
    own = ", ".join(f"`{bridge.name}`" for bridge in scenes if bridge.own_space)
    missing = f" Missing from the upper row, with texts in a space of their own: {own}." if own else ""
    return [
        *_migrations(scenes, held_out, seed),
        Plot(
            "paired-cosines",
            "Paired cosines",
            f"How near each scene comes to its own caption behind every bridge (seed {seed}), and without one.",
            cosines,
        ),
        Plot(
            "gap-retrieval",
            "The gap against retrieval",
            "What is left of the gap against what retrieval finds: up and to the left is better; bars are ± sd over seeds."
            f"{missing}",
            retrieval,
        ),
    ]


@torch.no_grad()
def _sides(
    bridge: Bridge, held_out: EmbeddingSet, seed: int, device: torch.device
) -> tuple[Float[Tensor, "pairs dim"], Float[Tensor, "pairs dim"]]:
    """Audio bridged with the noise that it was measured with, and the texts as that bridge has them."""
    count = len(held_out.audio)
    bridged = bridge(held_out.audio.to(device), range(seed * count, (seed + 1) * count)).cpu()
    return bridged, bridge.text_side(held_out.text.to(device)).cpu()


def _migrations(scenes: Sequence[BridgedScenes], held_out: EmbeddingSet, seed: int) -> list[Plot]:
    """Ours, each on its own, and the others together; not who moves nothing, or into a space of his own."""
    audio, text = held_out.audio, held_out.text
    moving = [bridge for bridge in scenes if not bridge.own_space and bridge.kind != PLAIN]
    plots = [
        Plot(
            f"migration-{bridge.name}",
            f"Collective migration behind {bridge.name}",
            "The plane in which texts and audio together vary most: lines lead from the audio of "
            f"{min(LINES, len(audio))} scenes, evenly chosen, to where `{bridge.name}` (seed {seed}) brings it.",
            migration(audio, text, bridge, f"migration-{bridge.name}"),
        )
        for bridge in moving
        if bridge.kind == OURS
    ]
    others = [bridge for bridge in moving if bridge.kind != OURS]
    if others:
        apart = ", ".join(f"`{bridge.name}`" for bridge in scenes if bridge.own_space)
        left_out = f" Left out, with texts in a space of their own: {apart}." if apart else ""
        caption = f"The same for the other bridges, in the same plane (seed {seed}).{left_out}"
        title = "Collective migration behind the other bridges"
        plots.append(Plot("migration-others", title, caption, migrations(audio, text, others, "migration-others")))
    return plots


def sweep_plots(sweeps: Sequence[SweepReport]) -> list[Plot]:
    """One plot a sweep."""
    plots = []
    for number, sweep in enumerate(sweeps, start=1):
        name, title = f"sweep-{number}", sweep_title(sweep)
        criteria = "; ".join(shown_title(shown).rstrip(" ↑↓") for shown in SHOWN)
        caption = f"{title}. Over `{sweep.setting}`, on the validation split: {criteria}."
        # What is read aloud, and stands in the brackets of a picture in Markdown, has no marks.
        plots.append(Plot(name, f"Sweep: {title.replace('`', '')}", caption, sweep_plot(sweep, name)))
    return plots
