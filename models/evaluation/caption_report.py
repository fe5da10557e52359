"""What a comparison of bridges by captions found, for programs (report.json) and for people (report.md).

report.json is one object of strict JSON. Keys: `split`, `scenes`, `seeds`, `seen` (what each part was trained on), `tools`
(which of the tools of metrics that are left out were there), `references` ({vocabulary, words}: what captions could come
to), and three lists:

- `bridges`: {setting, name, kind, own_text_side, figures: {cider_d .. words: {mean, sd}}, cider_d_by_seed, gain,
  gain_same_decoder}; the gains are CIDEr-D over that without a bridge in per cent, {mean, sd} of the seeds' gains: over
  that of identity, and, where a zero-shot decoder is this bridge's own, over that of unbridged audio before it.
- `margins`: {setting, ours, rival, difference, sds}: CIDEr-D of `ours` less the rival's, seed by seed, and how many
  standard deviations of these differences that is.
- `samples`: {id, truth, reference, captions: {setting: {bridge: caption}}}.

Shares are of 1; null means that there is no value.
"""

from models.evaluation.caption_comparison import SETTINGS, Setting
from models.evaluation.gap import Spread
from models.evaluation.gap_report import Criterion
from models.evaluation.report import TextTable
from models.evaluation.settings import Figures, Split

_NONE = "–"


class CaptionFigures(Figures):
    """Agreement with references and truth; see `CaptionScores` and `EventScores`."""

    cider_d: Spread
    bleu_1: Spread
    bleu_2: Spread
    bleu_3: Spread
    bleu_4: Spread
    rouge_l: Spread
    event_recall: Spread
    event_precision: Spread | None
    """No value where the captions of some seed name no sound at all."""
    vocabulary: Spread
    words: Spread
    """Mean length of a caption."""


class CaptionedBridge(Figures):
    """Captions behind one bridge in one setting."""

    setting: Setting
    name: str
    kind: str
    own_text_side: bool
    """Its zero-shot decoder is its own, trained on texts that this bridge noised or moved."""
    figures: CaptionFigures
    cider_d_by_seed: tuple[float, ...]
    gain: Spread | None
    """No value without an identity in the comparison, or where it scores 0."""
    gain_same_decoder: Spread | None
    """Over the audio as it is, before the very same decoder: for zero-shot decoders that are one bridge's own."""


class Margin(Figures):
    """Diffusion-Link against a rival."""

    setting: Setting
    ours: str
    rival: str
    difference: Spread
    sds: float | None
    """No value where all differences are the same."""


class CaptionSample(Figures):
    """Captions of one scene beside the truth, under the first seed."""

    id: str
    truth: tuple[str, ...]
    reference: str
    captions: dict[Setting, dict[str, str]]


class Seen(Figures):
    """Which data each part was trained on."""

    encoder_trained_here: bool
    """Else the encoder is a released one, and what it has seen is told elsewhere."""
    encoder_scenes: int
    encoder_captions: int
    bridge_scenes: int
    bridge_captions: int


class ReferenceFigures(Figures):
    """The references' own."""

    count: int
    vocabulary: int
    words: float


class CaptionReport(Figures):
    """All that was measured."""

    split: Split
    scenes: int
    seeds: tuple[int, ...]
    seen: Seen
    tools: dict[str, bool]
    references: ReferenceFigures
    bridges: tuple[CaptionedBridge, ...]
    margins: tuple[Margin, ...]
    samples: tuple[CaptionSample, ...]


def _high(value: float) -> float:
    return -value


CAPTION_CRITERIA = {
    "cider_d": Criterion("CIDEr-D ↑", _high),
    "bleu_1": Criterion("BLEU-1 ↑", _high),
    "bleu_2": Criterion("BLEU-2 ↑", _high),
    "bleu_3": Criterion("BLEU-3 ↑", _high),
    "bleu_4": Criterion("BLEU-4 ↑", _high),
    "rouge_l": Criterion("ROUGE-L ↑", _high),
    "event_recall": Criterion("event recall % ↑", _high, 1, 100.0),
    "event_precision": Criterion("event precision % ↑", _high, 1, 100.0),
    # More words are no better than fewer: they rank nobody, and stand beside the references'.
    "vocabulary": Criterion("vocabulary", None, 0),
    "words": Criterion("words a caption", None, 1),
}
"""Every figure, in the order in which they are shown."""


def markdown_caption_report(report: CaptionReport) -> str:
    """Write the head and all tables as Markdown."""
    return "\n".join([caption_head(report), "", *(table.markdown() for table in caption_tables(report))])


def caption_tables(report: CaptionReport) -> list[TextTable]:
    """All tables, in the order in which they are shown."""
    tables = [_table(setting, report) for setting in SETTINGS]
    return [*tables, _gains(report), *([_samples(report)] if report.samples else [])]


def caption_head(report: CaptionReport) -> str:
    """What was measured on what, which data each part saw, what is left out, and how to read the tables."""
    seen, seeds = report.seen, ", ".join(map(str, report.seeds))
    own = ", ".join(f"`{name}`" for name in dict.fromkeys(bridge.name for bridge in report.bridges if bridge.own_text_side))
    encoder = (
        f"trained on the {seen.encoder_scenes} scenes of the encoder part with {seen.encoder_captions} captions"
        if seen.encoder_trained_here
        else "a released one, not trained here"
    )
    paragraphs = [
        f"Captions of the {report.scenes} scenes of the {report.split} split, against all their references "
        f"({report.references.count}). Mean ± standard deviation over {len(report.seeds)} training seeds ({seeds}) of "
        "bridge and decoder; behind a bridge in closed form only the decoder differs. The best is bold, by what is printed.",
        "Which data each part saw:\n\n"
        f"- encoder: {encoder};\n"
        f"- bridges: the {seen.bridge_scenes} scenes of the bridge part with {seen.bridge_captions} captions;\n"
        f"- zero-shot decoders: the {seen.encoder_captions} captions of the encoder part, no audio;\n"
        f"- supervised decoders: the bridged audio of the {seen.bridge_scenes} scenes of the bridge part with their "
        "captions (under identity: the audio as it is);\n"
        f"- held out: the {report.split} split, by source where a sound has several, and by recording otherwise.",
        "METEOR, SPICE and FENSE are left out: METEOR and SPICE run in Java "
        f"({_there(report, 'java')}), SPICE and FENSE on models that must be downloaded, and this command does not call "
        f"aac-metrics ({_there(report, 'aac-metrics')}), which computes all three. Captions and references are brought to "
        "lower case and stripped of punctuation, without PTB tokenisation.",
    ]
    if own:
        paragraphs.append(f"† {own}: a zero-shot decoder of its own, trained on texts that this bridge noised or moved.")
    return "\n\n".join(paragraphs)


def _there(report: CaptionReport, tool: str) -> str:
    return "found on this machine" if report.tools[tool] else "not found on this machine"


def _of(report: CaptionReport, setting: Setting) -> list[CaptionedBridge]:
    return [bridge for bridge in report.bridges if bridge.setting == setting]


def _table(setting: Setting, report: CaptionReport) -> TextTable:
    bridges = _of(report, setting)
    means = {
        name: [spread.mean for bridge in bridges if (spread := _spread(bridge, name)) is not None]
        for name in CAPTION_CRITERIA
    }

    def cell(bridge: CaptionedBridge, name: str) -> str:
        criterion, spread = CAPTION_CRITERIA[name], _spread(bridge, name)
        if spread is None:
            return _NONE
        text = f"{criterion.shown(spread.mean)} ± {criterion.shown(spread.sd)}"
        best = criterion.badness is not None and criterion.place(spread.mean, means[name]) == 1
        return f"**{text}**" if best else text

    rows = [(_marked(bridge), *(cell(bridge, name) for name in CAPTION_CRITERIA)) for bridge in bridges]
    theirs = {"vocabulary": float(report.references.vocabulary), "words": report.references.words}
    shown = (CAPTION_CRITERIA[name].shown(theirs[name]) if name in theirs else _NONE for name in CAPTION_CRITERIA)
    title = f"Captions, {setting}"
    columns = ("", *(criterion.title for criterion in CAPTION_CRITERIA.values()))
    return TextTable(title, columns, (*rows, ("references", *shown)))


def _marked(bridge: CaptionedBridge) -> str:
    return f"{bridge.name} †" if bridge.own_text_side and bridge.setting == "zero-shot" else bridge.name


def _spread(bridge: CaptionedBridge, name: str) -> Spread | None:
    spread: Spread | None = getattr(bridge.figures, name)
    return spread


def _gains(report: CaptionReport) -> TextTable:
    """What each bridge gains over none, and what Diffusion-Link has over each."""
    names = list(dict.fromkeys(bridge.name for bridge in report.bridges))
    ours = list(dict.fromkeys(margin.ours for margin in report.margins))
    gains = {(bridge.setting, bridge.name): bridge.gain for bridge in report.bridges}
    margins = {(margin.setting, margin.ours, margin.rival): margin for margin in report.margins}
    columns = [""]
    rows = [[name] for name in names]
    same = {(bridge.setting, bridge.name): bridge.gain_same_decoder for bridge in report.bridges}
    for setting in SETTINGS:
        columns.append(f"{setting}: CIDEr-D over identity")
        if any(same[setting, name] is not None for name in names):
            columns.append(f"{setting}: over unbridged audio before the decoder of its own")
        columns += [f"{setting}: `{name}` less it" for name in ours]
        for row, name in zip(rows, names, strict=True):
            row.append(_percent(gains[setting, name]))
            if any(same[setting, each] is not None for each in names):
                row.append(_percent(same[setting, name]))
            row += [_margin(margins.get((setting, one, name))) for one in ours]
    return TextTable("Gains in CIDEr-D", tuple(columns), tuple(map(tuple, rows)))


def _percent(gain: Spread | None) -> str:
    return _NONE if gain is None else f"{gain.mean:+z.1f} % ± {gain.sd:.1f}"


def _margin(margin: Margin | None) -> str:
    if margin is None:
        return _NONE
    sds = "" if margin.sds is None else f" ({margin.sds:+z.1f} sd)"
    return f"{margin.difference.mean:+z.3f} ± {margin.difference.sd:.3f}{sds}"


def _samples(report: CaptionReport) -> TextTable:
    shown = [(setting, name) for setting, captions in report.samples[0].captions.items() for name in captions]
    rows = [
        (", ".join(sample.truth), sample.reference, *(sample.captions[setting][name] for setting, name in shown))
        for sample in report.samples
    ]
    title = f"Captions of scenes chosen at random, seed {report.seeds[0]}"
    return TextTable(title, ("truth", "a reference", *(f"{setting}, {name}" for setting, name in shown)), tuple(rows))
