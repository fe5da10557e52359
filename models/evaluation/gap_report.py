"""What a comparison of bridges by the modality gap found, for programs (report.json) and for people (report.md).

report.json is one object of strict JSON. Keys: `split`, `pairs`, `distinct_captions`, `training_scenes`,
`training_captions`, `pairs_shares` ({bridge: share} of those that were trained on a part of the scenes alone), `seeds`,
and `bridges`, a list of {name, kind, runs, own_space, as_is, centred}; the last two hold {paired_cosine ..
text_to_audio_r_at_10: {mean, sd}}, `centred` being with each modality's mean removed. Shares are of 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.evaluation.gap import GapFigures, Spread
from models.evaluation.settings import Figures, Split
from models.evaluation.text_table import TextTable
from models.training.train_bridge import MAX_FITTED_PAIRS

Side = Literal["as_is", "centred"]

OURS = "diffusion-link"
"""The kind of the bridge of the paper."""
PLAIN = "identity"
"""The kind that is no bridge: the audio as it is."""
_DIFFUSION_BASED = (OURS, "diffusion-bridge", "conditional-prior")


class Criteria(GapFigures):
    """The gap, and retrieval both ways."""

    audio_to_text_r_at_1: Spread
    audio_to_text_r_at_5: Spread
    audio_to_text_r_at_10: Spread
    text_to_audio_r_at_1: Spread
    text_to_audio_r_at_5: Spread
    text_to_audio_r_at_10: Spread


class ComparedBridge(Figures):
    """One bridge on held-out pairs."""

    name: str
    kind: str
    runs: int
    """Runs that the spread is over; one where nothing is trained and no noise drawn: more would all be the same."""
    own_space: bool
    """Its output lies in a text space of its own, with the means gone: without removing them from the others' too, its
    figures are not comparable to theirs."""
    as_is: Criteria
    centred: Criteria


class GapReport(Figures):
    """All that was measured."""

    split: Split
    pairs: int
    distinct_captions: int
    training_scenes: int
    training_captions: int
    pairs_shares: dict[str, float]
    """The share of the training scenes that a bridge saw, of those that did not see all."""
    seeds: tuple[int, ...]
    bridges: tuple[ComparedBridge, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """How one criterion is shown, and what of it is better."""

    title: str
    badness: Callable[[float], float] | None
    """The less the better; none where a criterion is shown for the sake of others and ranks nobody."""
    decimals: int = 3
    factor: float = 1.0

    def shown(self, value: float) -> str:
        """The number as printed."""
        return f"{self.factor * value:z.{self.decimals}f}"

    def place(self, value: float, rivals: Sequence[float]) -> int:
        """1 and the number of rivals that are better; what prints the same is no better."""
        return 1 + sum(self._rank(rival) < self._rank(value) for rival in rivals)

    def _rank(self, value: float) -> float:
        badness = self.badness or (lambda _: 0.0)
        return round(self.factor * badness(value), self.decimals)


def high(value: float) -> float:
    """Badness where high values are good."""
    return -value


def _low(value: float) -> float:
    return value


CRITERIA = {
    "paired_cosine": Criterion("paired cosine ↑", high),
    # Low where captions are told apart, but also where the gap is wide: it ranks nobody, and explains the next one.
    "unpaired_cosine": Criterion("unpaired cosine", None),
    "cosine_difference": Criterion("difference ↑", high),
    "centroid_distance": Criterion("centroid distance ↓", _low),
    "frechet_distance": Criterion("Fréchet distance ↓", _low, decimals=4),
    "probe_accuracy": Criterion("probe accuracy → 0.5", lambda accuracy: abs(accuracy - 0.5)),
    "neighbourhood_overlap": Criterion("neighbourhood overlap ↑", high),
    "audio_to_text_r_at_1": Criterion("audio → text R@1 % ↑", high, 1, 100.0),
    "audio_to_text_r_at_5": Criterion("audio → text R@5 % ↑", high, 1, 100.0),
    "audio_to_text_r_at_10": Criterion("audio → text R@10 % ↑", high, 1, 100.0),
    "text_to_audio_r_at_1": Criterion("text → audio R@1 % ↑", high, 1, 100.0),
    "text_to_audio_r_at_5": Criterion("text → audio R@5 % ↑", high, 1, 100.0),
    "text_to_audio_r_at_10": Criterion("text → audio R@10 % ↑", high, 1, 100.0),
}
"""Every criterion, in the order in which they are shown."""


def markdown_gap_report(report: GapReport) -> str:
    """Write the tables as Markdown: as is, means removed, and the place of Diffusion-Link."""
    return "\n".join([gap_head(report), "", *(table.markdown() for table in gap_tables(report))])


def gap_tables(report: GapReport) -> list[TextTable]:
    """All tables, in the order in which they are shown."""
    tables = [_table("As is", report, "as_is"), _table("Each modality's mean removed", report, "centred")]
    return tables + [_places(bridge, report) for bridge in report.bridges if bridge.kind == OURS]


SPREAD_NOTE = "± is over training seeds only, before the same scenes: it knows nothing of which scenes were drawn."
"""What a spread over seeds does not say."""


def training_notes(captions: int, pairs_shares: Mapping[str, float]) -> str:
    """Which bridges see less than all pairs of training; nothing where all see all."""
    notes = []
    if captions > MAX_FITTED_PAIRS:
        notes.append(
            f"Means and closed forms of bridges are fitted to at most {MAX_FITTED_PAIRS:,} of the training captions with "
            "their scenes, drawn at random; networks are trained on all."
        )
    for name, share in pairs_shares.items():
        notes.append(f"`{name}` saw a share of {share:g} of the training scenes: the first ones, the same under every seed.")
    return " ".join(notes)


def gap_head(report: GapReport) -> str:
    """What was measured on what, and how to read the tables."""
    seeds = ", ".join(map(str, report.seeds))
    text = (
        f"Modality gap on the {report.split} split: {report.pairs} scenes with their first captions, of which "
        f"{report.distinct_captions} are different. Every bridge was trained on, or fitted to, {report.training_scenes} "
        f"other scenes with {report.training_captions} captions. Mean ± standard deviation over {len(report.seeds)} "
        f"training seeds ({seeds}); a value without ± is of a single run: a closed form draws nothing at random, and "
        f"every run of it would be the same. {SPREAD_NOTE} The best is bold, by what is printed."
    )
    own = ", ".join(f"`{bridge.name}`" for bridge in report.bridges if bridge.own_space)
    apart = f"† {own}: measured in a text space of its own, without the means; not ranked as is." if own else ""
    notes = training_notes(report.training_captions, report.pairs_shares)
    return "\n\n".join(paragraph for paragraph in (text, notes, apart) if paragraph)


def _ranked(report: GapReport, side: Side) -> list[ComparedBridge]:
    return [bridge for bridge in report.bridges if side == "centred" or not bridge.own_space]


def _mean(bridge: ComparedBridge, side: Side, name: str) -> float:
    spread: Spread = getattr(getattr(bridge, side), name)
    return spread.mean


def _place(bridge: ComparedBridge, rivals: Sequence[ComparedBridge], side: Side, name: str) -> int:
    return CRITERIA[name].place(_mean(bridge, side, name), [_mean(rival, side, name) for rival in rivals])


def _table(title: str, report: GapReport, side: Side) -> TextTable:
    ranked = _ranked(report, side)

    def cell(bridge: ComparedBridge, name: str) -> str:
        criterion, spread = CRITERIA[name], getattr(getattr(bridge, side), name)
        text = criterion.shown(spread.mean)
        if bridge.runs > 1:
            text += f" ± {criterion.shown(spread.sd)}"
        best = criterion.badness is not None and bridge in ranked and _place(bridge, ranked, side, name) == 1
        return f"**{text}**" if best else text

    rows = [
        (bridge.name if bridge in ranked else f"{bridge.name} †", *(cell(bridge, name) for name in CRITERIA))
        for bridge in report.bridges
    ]
    return TextTable(title, ("", *(criterion.title for criterion in CRITERIA.values())), tuple(rows))


def _places(ours: ComparedBridge, report: GapReport) -> TextTable:
    """The place among the diffusion-based bridges and among all, and who is first."""
    rows = []
    for name, criterion in CRITERIA.items():
        if criterion.badness is None:
            continue
        row = [criterion.title.rstrip(" ↑↓")]
        sides: tuple[Side, ...] = ("as_is", "centred")
        for side in sides:
            ranked = _ranked(report, side)
            diffusion = [bridge for bridge in ranked if bridge.kind in _DIFFUSION_BASED]
            first = [bridge.name for bridge in ranked if _place(bridge, ranked, side, name) == 1]
            row += [f"{_place(ours, rivals, side, name)} of {len(rivals)}" for rivals in (diffusion, ranked)]
            row.append(", ".join(first))
        rows.append(tuple(row))
    among = ("among diffusion-based", "among all", "first")
    columns = ("", *(f"as is, {column}" for column in among), *(f"means removed, {column}" for column in among))
    return TextTable(f"Place of `{ours.name}`", columns, tuple(rows))
