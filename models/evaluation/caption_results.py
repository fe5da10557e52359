"""What a comparison of bridges by captions found, as report.json holds it: one object of strict JSON.

Keys: `split`, `scenes`, `seeds`, `seen` (what each part was trained on: the fields of `Seen`), `left_out` ({metric: why it
could not be computed}), `references` ({count, vocabulary, words}: what captions could come to), and three lists:

- `bridges`: {setting, name, kind, own_decoder, figures: {cider_d .. words: {mean, sd}}, cider_d_by_seed, gain}; the gain
  is CIDEr-D over that of identity in the same setting in per cent, {mean, sd} of the seeds' gains. In a zero-shot setting
  both stand before the same decoder unless `own_decoder` is true; in the supervised one each has its own.
- `margins`: {setting, ours, rival, difference, sds}: CIDEr-D of `ours` less the rival's, seed by seed, and `sds`, the mean
  of these differences over their standard deviation.
- `samples`: {id, truth, reference, captions: {setting: {bridge: caption}}}.

`setting` is "zero-shot", "zero-shot, augmented" or "supervised"; see `caption_comparison`. Shares are of 1; null means that
there is no value.
"""

from models.evaluation.caption_comparison import Setting
from models.evaluation.gap import Spread
from models.evaluation.settings import Figures, Split


class CaptionFigures(Figures):
    """Agreement with references and truth; see `CaptionScores` and `EventScores`."""

    cider_d: Spread
    bleu_1: Spread
    bleu_2: Spread
    bleu_3: Spread
    bleu_4: Spread
    rouge_l: Spread
    meteor: Spread | None
    """This and the three below have no value where they could not be computed."""
    spice: Spread | None
    spider: Spread | None
    fense: Spread | None
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
    own_decoder: bool
    """Its decoder reads it alone, in a zero-shot setting in which the others share one; false in the supervised setting,
    where nobody shares."""
    figures: CaptionFigures
    cider_d_by_seed: tuple[float, ...]
    gain: Spread | None
    """No value without an identity in the comparison, or where it scores 0."""


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
    """Else the encoder was copied, or is a released one, and what it has seen is told elsewhere."""
    encoder_scenes: int
    encoder_captions: int
    bridge_scenes: int
    bridge_captions: int
    pairs_shares: dict[str, float]
    """The share of the bridge part's scenes that a bridge saw, of those that did not see all."""
    noise_variance: float
    """Of CapDec's noise on the texts of zero-shot decoders, a coordinate."""
    augmenter: str | None
    """The bridge through which the texts of the shared augmented decoder went."""


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
    left_out: dict[str, str]
    """Metrics that could not be computed, and why."""
    references: ReferenceFigures
    bridges: tuple[CaptionedBridge, ...]
    margins: tuple[Margin, ...]
    samples: tuple[CaptionSample, ...]
