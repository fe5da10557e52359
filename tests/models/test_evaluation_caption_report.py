"""The tables of a comparison by captions: the best is marked, gains stand beside, and the head says who saw what."""

from typing import Any

from models.evaluation.caption_comparison import SETTINGS, Setting
from models.evaluation.caption_report import CAPTION_CRITERIA, caption_head, caption_tables, markdown_caption_report
from models.evaluation.caption_results import (
    CaptionedBridge,
    CaptionFigures,
    CaptionReport,
    CaptionSample,
    Margin,
    ReferenceFigures,
    Seen,
)
from models.evaluation.gap import Spread

_SEEN = Seen(
    encoder_trained_here=True,
    encoder_scenes=12,
    encoder_captions=48,
    bridge_scenes=5,
    bridge_captions=21,
    pairs_shares={},
    noise_variance=0.001,
    augmenter="ours",
)


def _bridge(setting: Setting, name: str, kind: str, gain: float | None = None, **means: float | None) -> CaptionedBridge:
    values = dict.fromkeys(CaptionFigures.model_fields, 0.25) | means
    spreads = {key: None if mean is None else Spread(mean=mean, sd=0.01) for key, mean in values.items()}
    return CaptionedBridge(
        setting=setting,
        name=name,
        kind=kind,
        own_decoder=kind == ("diffusion-bridge" if setting == "zero-shot, augmented" else "c3") and setting != "supervised",
        figures=CaptionFigures.model_validate(spreads),
        cider_d_by_seed=(0.1, 0.2),
        gain=None if gain is None else Spread(mean=gain, sd=1.5),
    )


def _margin(setting: Setting, rival: str, sds: float | None) -> Margin:
    return Margin(setting=setting, ours="ours", rival=rival, difference=Spread(mean=-0.02, sd=0.01), sds=sds)


def _report(**settings: Any) -> CaptionReport:
    bridges = [
        *(_bridge("zero-shot", "none", "identity", 0.0, cider_d=0.1, vocabulary=900.0, event_precision=None),
          _bridge("zero-shot", "line", "ridge", 20.0, cider_d=0.3014, event_precision=0.5),
          _bridge("zero-shot", "apart", "c3", 80.0, cider_d=0.2),
          _bridge("zero-shot", "ours", "diffusion-link", 52.54, cider_d=0.301)),
        *(_bridge("zero-shot, augmented", "none", "identity", 0.0),
          _bridge("zero-shot, augmented", "lee", "diffusion-bridge", 7.0),
          _bridge("zero-shot, augmented", "ours", "diffusion-link", 9.0)),
        *(_bridge("supervised", "none", "identity", 0.0, cider_d=0.9),
          _bridge("supervised", "line", "ridge", -3.0),
          _bridge("supervised", "apart", "c3"),
          _bridge("supervised", "ours", "diffusion-link", -0.04)),
    ]  # fmt: skip
    captions = {setting: {"none": f"no|thing {setting}", "ours": "a dog"} for setting in SETTINGS}
    content: dict[str, Any] = {
        "split": "validation",
        "scenes": 9,
        "seeds": (4, 7),
        "seen": _SEEN,
        "left_out": {"spice": "no parser", "spider": "no SPICE"},
        "references": ReferenceFigures(count=36, vocabulary=77, words=6.04),
        "bridges": tuple(bridges),
        "margins": (
            _margin("zero-shot", "line", -2.0),
            _margin("zero-shot", "apart", 3.0),
            _margin("zero-shot, augmented", "lee", None),
            _margin("supervised", "line", None),
        ),
        "samples": (CaptionSample(id="a", truth=("dog", "rain"), reference="a dog barks", captions=captions),),
    }
    return CaptionReport(**content | settings)


def _cells(report: CaptionReport, title: str) -> dict[str, dict[str, str]]:
    """A table's cells by row and column."""
    (table,) = (table for table in caption_tables(report) if table.title == title)
    return {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}


def test_the_best_of_each_figure_is_bold_in_its_setting() -> None:
    zero_shot, supervised = (_cells(_report(), f"Captions, {setting}") for setting in ("zero-shot", "supervised"))
    assert zero_shot["none"]["CIDEr-D ↑"] == "0.100 ± 0.010"
    # What prints the same has won together.
    assert (zero_shot["line"]["CIDEr-D ↑"], zero_shot["ours"]["CIDEr-D ↑"]) == ("**0.301 ± 0.010**",) * 2
    assert supervised["none"]["CIDEr-D ↑"] == "**0.900 ± 0.010**"
    assert zero_shot["none"]["event precision % ↑"] == "–"
    assert zero_shot["line"]["event precision % ↑"] == "**50.0 ± 1.0**"
    assert not any("**" in row["vocabulary"] + row["words a caption"] for row in zero_shot.values())
    assert zero_shot["none"]["vocabulary"] == "900 ± 0"


def test_a_metric_that_was_left_out_has_no_column() -> None:
    columns = _cells(_report(), "Captions, zero-shot")["line"]
    assert columns["METEOR ↑"] == "**0.250 ± 0.010**"
    assert columns["FENSE ↑"] == "**0.250 ± 0.010**"
    assert not {"SPICE ↑", "SPIDEr ↑"} & set(columns)


def test_the_references_stand_below_without_a_rank() -> None:
    row = _cells(_report(), "Captions, zero-shot")["references"]
    assert (row["vocabulary"], row["words a caption"], row["CIDEr-D ↑"]) == ("77", "6.0", "–")


def test_gains_and_margins_stand_in_one_table() -> None:
    gains = _cells(_report(), "Gains in CIDEr-D")
    assert gains["ours"] == {
        "zero-shot: CIDEr-D over identity": "+52.5 % ± 1.5",
        "zero-shot: `ours` less it": "–",
        "zero-shot, augmented: CIDEr-D over identity": "+9.0 % ± 1.5",
        "zero-shot, augmented: `ours` less it": "–",
        "supervised: CIDEr-D over identity": "+0.0 % ± 1.5",
        "supervised: `ours` less it": "–",
    }
    assert gains["line"]["zero-shot: `ours` less it"] == "-0.020 ± 0.010 (-2.0 sd)"
    assert gains["line"]["supervised: `ours` less it"] == "-0.020 ± 0.010"
    # Not before the same decoder.
    assert gains["apart"]["zero-shot: CIDEr-D over identity"] == "+80.0 % ± 1.5 †"
    assert gains["apart"]["zero-shot: `ours` less it"] == "-0.020 ± 0.010 (+3.0 sd) †"
    assert gains["lee"]["zero-shot, augmented: CIDEr-D over identity"] == "+7.0 % ± 1.5 †"
    assert gains["lee"]["zero-shot, augmented: `ours` less it"] == "-0.020 ± 0.010 †"
    # Who takes no part in a setting has no figure there.
    assert gains["apart"]["zero-shot, augmented: CIDEr-D over identity"] == "–"
    assert "`ours` less it" not in markdown_caption_report(_report(margins=()))


def test_a_decoder_of_its_own_is_marked_where_it_is_used() -> None:
    assert "apart †" in _cells(_report(), "Captions, zero-shot")
    assert "apart" in _cells(_report(), "Captions, supervised")
    assert list(_cells(_report(), "Captions, zero-shot, augmented")) == ["none", "lee †", "ours", "references"]
    assert "† `apart` (zero-shot), `lee` (zero-shot, augmented): a decoder of its own" in caption_head(_report())
    others = tuple(bridge for bridge in _report().bridges if not bridge.own_decoder)
    tables = [table.markdown() for table in caption_tables(_report(bridges=others))]
    assert "†" not in "".join(tables)


def test_a_setting_that_nobody_is_in_has_no_table() -> None:
    others = tuple(bridge for bridge in _report().bridges if bridge.setting != "zero-shot, augmented")
    seen = _SEEN.model_copy(update={"augmenter": None})
    text = markdown_caption_report(_report(bridges=others, margins=(), samples=(), seen=seen))
    assert "augmented" not in text.replace("moved or augmented", "")
    assert "In the zero-shot setting the gain" in text


def test_the_head_says_what_each_part_saw_and_what_is_left_out() -> None:
    head = caption_head(_report())
    for words in (
        "9 scenes of the validation split",
        "(36)",
        "2 training seeds (4, 7)",
        "encoder: trained on the 12 scenes of the encoder part with 48 captions;",
        "bridges: the 5 scenes of the bridge part with 21 captions;",
        "zero-shot decoders: the 48 captions of the encoder part, no audio;",
        "supervised decoders: the bridged audio of the 5 scenes",
        "held out: the validation split, by source",
        "Left out: SPICE (no parser), SPIDEr (no SPICE).",
        "without PTB tokenisation",
        "of variance 0.001 a coordinate, for bridges with a text space of their own too",
        "noised and walked back by `ours` of the same seed, or by the bridge marked †, without CapDec's noise",
        "In the two zero-shot settings the gain over identity is always before the same decoder, but for those marked †",
        '"(+x sd)" is the mean over the standard deviation of the differences',
        "knows nothing of which scenes were drawn",
    ):
        assert words in head
    assert "at most 50,000" not in head
    shares = {"bridge_captions": 50_001, "pairs_shares": {"line": 0.5}}
    seen = _SEEN.model_copy(update={"encoder_trained_here": False} | shares)
    head = caption_head(_report(seen=seen, left_out={}))
    assert "encoder: copied or a released one, not trained here" in head
    assert "at most 50,000 of the training captions" in head
    assert "`line` saw a share of 0.5 of the training scenes" in head
    assert "Left out" not in head


def test_captions_stand_beside_the_truth() -> None:
    (row,) = _cells(_report(), "Captions of scenes chosen at random, seed 4").values()
    assert row == {
        "a reference": "a dog barks",
        "zero-shot, none": "no|thing zero-shot",
        "zero-shot, ours": "a dog",
        "zero-shot, augmented, none": "no|thing zero-shot, augmented",
        "zero-shot, augmented, ours": "a dog",
        "supervised, none": "no|thing supervised",
        "supervised, ours": "a dog",
    }
    assert "| dog, rain | a dog barks | no\\|thing zero-shot |" in markdown_caption_report(_report())
    assert "chosen at random" not in markdown_caption_report(_report(samples=()))


def test_the_markdown_is_the_head_and_every_table() -> None:
    text = markdown_caption_report(_report())
    assert text.startswith(caption_head(_report()))
    for table in caption_tables(_report()):
        assert table.markdown() in text


def test_every_figure_is_shown() -> None:
    assert set(CAPTION_CRITERIA) == set(CaptionFigures.model_fields)


def test_json_comes_back_as_it_was() -> None:
    assert CaptionReport.model_validate_json(_report().model_dump_json()) == _report()
