"""The tables and the head of a comparison of bridges by captions, for people (report.md)."""

from models.evaluation.caption_comparison import SETTINGS, Setting
from models.evaluation.caption_results import CaptionedBridge, CaptionReport, Margin
from models.evaluation.gap import Spread
from models.evaluation.gap_report import SPREAD_NOTE, Criterion, high, training_notes
from models.evaluation.more_metrics import MORE_METRICS, left_out_note
from models.evaluation.text_table import TextTable

_NONE = "–"

CAPTION_CRITERIA = {
    "cider_d": Criterion("CIDEr-D ↑", high),
    "bleu_1": Criterion("BLEU-1 ↑", high),
    "bleu_2": Criterion("BLEU-2 ↑", high),
    "bleu_3": Criterion("BLEU-3 ↑", high),
    "bleu_4": Criterion("BLEU-4 ↑", high),
    "rouge_l": Criterion("ROUGE-L ↑", high),
    **{name: Criterion(f"{title} ↑", high) for name, title in MORE_METRICS.items()},
    "event_recall": Criterion("event recall % ↑", high, 1, 100.0),
    "event_precision": Criterion("event precision % ↑", high, 1, 100.0),
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
    tables = [_table(setting, report) for setting in _settings(report)]
    return [*tables, _gains(report), *([_samples(report)] if report.samples else [])]


def caption_head(report: CaptionReport) -> str:
    """What was measured on what, which data each part saw, what is left out, and how to read the tables."""
    seeds = ", ".join(map(str, report.seeds))
    paragraphs = [
        f"Captions of the {report.scenes} scenes of the {report.split} split, against all their references "
        f"({report.references.count}). Mean ± standard deviation over {len(report.seeds)} training seeds ({seeds}) of "
        f"bridge and decoder; behind a bridge in closed form only the decoder differs. {SPREAD_NOTE} The best is bold, by "
        "what is printed.",
        "Which data each part saw:\n\n" + "\n".join(_seen(report)),
        training_notes(report.seen.bridge_captions, report.seen.pairs_shares),
        _gain_note(report),
        "Captions and references are brought to lower case and stripped of punctuation, without PTB tokenisation. "
        + left_out_note(report.left_out),
    ]
    own = dict.fromkeys((bridge.name, bridge.setting) for bridge in report.bridges if bridge.own_decoder)
    if own:
        marked = ", ".join(f"`{name}` ({setting})" for name, setting in own)
        paragraphs.append(
            f"† {marked}: a decoder of its own, trained on texts that this bridge moved or augmented; its gain, and the "
            "difference to it, are not before the same decoder."
        )
    return "\n\n".join(filter(None, paragraphs))


def _seen(report: CaptionReport) -> list[str]:
    """A line for each part."""
    seen = report.seen
    encoder = (
        f"trained on the {seen.encoder_scenes} scenes of the encoder part with {seen.encoder_captions} captions"
        if seen.encoder_trained_here
        else "copied or a released one, not trained here; what it has seen is told elsewhere, in its model card"
    )
    lines = [
        f"- encoder: {encoder};",
        f"- bridges: the {seen.bridge_scenes} scenes of the bridge part with {seen.bridge_captions} captions;",
        f"- zero-shot decoders: the {seen.encoder_captions} captions of the encoder part, no audio; under CapDec's noise, "
        f"of variance {seen.noise_variance:g} a coordinate, for bridges with a text space of their own too;",
    ]
    if seen.augmenter is not None:
        lines.append(
            "- augmented zero-shot decoders: the same captions, no audio; noised and walked back by "
            f"`{seen.augmenter}` of the same seed, or by the bridge marked †, without CapDec's noise;"
        )
    return [
        *lines,
        f"- supervised decoders: the bridged audio of the {seen.bridge_scenes} scenes of the bridge part with their "
        "captions (under identity: the audio as it is);",
        f"- held out: the {report.split} split, by source where a sound has several, and by recording otherwise.",
    ]


def _gain_note(report: CaptionReport) -> str:
    """How to read the table of gains."""
    settings = "zero-shot setting" if report.seen.augmenter is None else "two zero-shot settings"
    return (
        f"In the {settings} the gain over identity is always before the same decoder, but for those marked †; supervised, "
        'each bridge has a decoder of its own. "(+x sd)" is the mean over the standard deviation of the differences, taken '
        "seed by seed."
    )


def _settings(report: CaptionReport) -> list[Setting]:
    """The settings that the report has."""
    there = {bridge.setting for bridge in report.bridges}
    return [setting for setting in SETTINGS if setting in there]


def _of(report: CaptionReport, setting: Setting) -> list[CaptionedBridge]:
    return [bridge for bridge in report.bridges if bridge.setting == setting]


def _table(setting: Setting, report: CaptionReport) -> TextTable:
    bridges = _of(report, setting)
    criteria = {name: criterion for name, criterion in CAPTION_CRITERIA.items() if name not in report.left_out}
    means = {name: [spread.mean for bridge in bridges if (spread := _spread(bridge, name)) is not None] for name in criteria}

    def cell(bridge: CaptionedBridge, name: str) -> str:
        criterion, spread = criteria[name], _spread(bridge, name)
        if spread is None:
            return _NONE
        text = f"{criterion.shown(spread.mean)} ± {criterion.shown(spread.sd)}"
        best = criterion.badness is not None and criterion.place(spread.mean, means[name]) == 1
        return f"**{text}**" if best else text

    rows = [(_marked(bridge), *(cell(bridge, name) for name in criteria)) for bridge in bridges]
    theirs = {"vocabulary": float(report.references.vocabulary), "words": report.references.words}
    shown = (criteria[name].shown(theirs[name]) if name in theirs else _NONE for name in criteria)
    columns = ("", *(criterion.title for criterion in criteria.values()))
    return TextTable(f"Captions, {setting}", columns, (*rows, ("references", *shown)))


def _marked(bridge: CaptionedBridge) -> str:
    return f"{bridge.name} †" if bridge.own_decoder else bridge.name


def _spread(bridge: CaptionedBridge, name: str) -> Spread | None:
    spread: Spread | None = getattr(bridge.figures, name)
    return spread


def _gains(report: CaptionReport) -> TextTable:
    """What each bridge gains over none, and what Diffusion-Link has over each."""
    names = list(dict.fromkeys(bridge.name for bridge in report.bridges))
    ours = list(dict.fromkeys(margin.ours for margin in report.margins))
    bridges = {(bridge.setting, bridge.name): bridge for bridge in report.bridges}
    margins = {(margin.setting, margin.ours, margin.rival): margin for margin in report.margins}
    columns = [""]
    rows = [[name] for name in names]
    for setting in _settings(report):
        columns += [f"{setting}: CIDEr-D over identity", *(f"{setting}: `{name}` less it" for name in ours)]
        for row, name in zip(rows, names, strict=True):
            row.append(_gain(bridges.get((setting, name))))
            pairs = [(margins.get((setting, one, name)), bridges.get((setting, one))) for one in ours]
            row += [_margin(margin, [bridges.get((setting, name)), our]) for margin, our in pairs]
    return TextTable("Gains in CIDEr-D", tuple(columns), tuple(map(tuple, rows)))


def _gain(bridge: CaptionedBridge | None) -> str:
    if bridge is None or bridge.gain is None:
        return _NONE
    return f"{bridge.gain.mean:+z.1f} % ± {bridge.gain.sd:.1f}{' †' if bridge.own_decoder else ''}"


def _margin(margin: Margin | None, sides: list[CaptionedBridge | None]) -> str:
    if margin is None:
        return _NONE
    sds = "" if margin.sds is None else f" ({margin.sds:+z.1f} sd)"
    mark = " †" if any(side is not None and side.own_decoder for side in sides) else ""
    return f"{margin.difference.mean:+z.3f} ± {margin.difference.sd:.3f}{sds}{mark}"


def _samples(report: CaptionReport) -> TextTable:
    shown = [(setting, name) for setting, captions in report.samples[0].captions.items() for name in captions]
    rows = [
        (", ".join(sample.truth), sample.reference, *(sample.captions[setting][name] for setting, name in shown))
        for sample in report.samples
    ]
    title = f"Captions of scenes chosen at random, seed {report.seeds[0]}"
    return TextTable(title, ("truth", "a reference", *(f"{setting}, {name}" for setting, name in shown)), tuple(rows))
