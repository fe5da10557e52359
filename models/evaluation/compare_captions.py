"""evaluate captions: captions behind every bridge of a comparison, zero-shot and supervised, the rest equal.

Reads corpus/, embeddings/, bridges/, decoders/ and decoders-supervised/ (and makes there what is missing, embeddings
where the recipe names an encoder), writes evaluation-captions/, or evaluation-captions-validation/ for the split that
settings are chosen on: report.json, report.md, and captions.jsonl, a line a scene of {id, truth, references, captions:
{setting: {bridge: {seed: caption}}}}, for metrics that are not computed here. A bridge is missing from a setting that it
takes no part in. Under a training seed stand the bridge and the decoder of that seed.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from models.bridge.interface import Bridge
from models.decoder.store import load_decoder
from models.evaluation.caption_comparison import (
    SETTINGS,
    CaptionComparisonRecipe,
    DecoderMaker,
    Setting,
    augmenter,
    decoder_choices,
)
from models.evaluation.caption_figures import margins, measure_captions, measure_references, with_gains
from models.evaluation.caption_metrics import check_available
from models.evaluation.caption_report import markdown_caption_report
from models.evaluation.caption_results import CaptionedBridge, CaptionFigures, CaptionReport, CaptionSample, Seen
from models.evaluation.clips import Advance
from models.evaluation.comparison import BridgeMaker, ComparisonRecipe
from models.evaluation.encoder_copy import encoder_trained_here, make_embeddings
from models.evaluation.events import EventReader
from models.evaluation.gap_report import OURS, PLAIN
from models.evaluation.settings import Split, report_folder
from models.output import say, say_written
from models.training.bank import read_sounds
from models.training.embed import EmbeddingSet
from models.training.folders import replaced
from models.training.progress import progress_bar
from models.training.recipe import Recipe, missing_section
from models.training.scenes import SceneRecord, SceneSet

_MAX_NEW_TOKENS = 32
_BATCH_SIZE = 64
_SAMPLES = 5
_SAMPLED_KINDS = (PLAIN, OURS)


@dataclass(frozen=True, slots=True)
class Rival:
    """One bridge in one setting: under each seed the bridge, where its decoder is, and what was written."""

    setting: Setting
    name: str
    own_decoder: bool
    bridges: list[Bridge]
    decoders: list[Path]
    captions: tuple[list[str], ...] = ()
    """Under each seed, one for every scene; none before they are written."""


def compare_captions(recipe: Recipe, work: Path, device: str, split: Split) -> None:
    """Make, or find, all bridges and decoders, measure the captions behind each, print the tables and write them.

    Raises:
        RecipeError: the recipe has no section [comparison.captions], or its table of sounds cannot be read.
        TrainingError: the embeddings are not there, something kept was made by other settings, or the extra `train` is not
            installed.
        ArtifactError: the recipe's encoder cannot be used.
        DeviceError: there is no such device.
    """
    comparison, _ = _sections(recipe)
    reader = caption_reader(recipe)
    make_embeddings(comparison.encoder, recipe.embed, work, device)
    report, lines = _compared(recipe, reader, BridgeMaker.load(work, device), EmbeddingSet.load(work, split), split)
    text = markdown_caption_report(report)
    directory = report_folder(work, "evaluation-captions", split)
    with replaced(directory) as new:
        (new / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (new / "report.md").write_text(text, encoding="utf-8")
        (new / "captions.jsonl").write_text("".join(lines), encoding="utf-8")
    say(text, report=report)
    say_written(directory)


def caption_reader(recipe: Recipe) -> EventReader:
    """What finds sounds in captions; made before anything is trained, since captions come after hours of it.

    Raises:
        RecipeError: the recipe's table of sounds cannot be read.
        TrainingError: the extra `train`, which captions are scored with, is not installed.
    """
    check_available()
    return EventReader({sound.name: sound.phrases for sound in read_sounds(recipe.scenes.sounds)})


def compare_captions_report(
    recipe: Recipe, reader: EventReader, maker: BridgeMaker, held_out: EmbeddingSet, split: Split
) -> CaptionReport:
    """The same for another report to take in, of the scenes of `split`: no tables are printed or written.

    Raises:
        RecipeError, TrainingError: as `compare_captions` does.
    """
    report, _ = _compared(recipe, reader, maker, held_out, split)
    return report


def _sections(recipe: Recipe) -> tuple[ComparisonRecipe, CaptionComparisonRecipe]:
    if recipe.comparison is None or recipe.comparison.captions is None:
        raise missing_section("comparison.captions")
    return recipe.comparison, recipe.comparison.captions


def _compared(
    recipe: Recipe, reader: EventReader, maker: BridgeMaker, held_out: EmbeddingSet, split: Split
) -> tuple[CaptionReport, list[str]]:
    """The report, and the lines of captions.jsonl."""
    comparison, captions = _sections(recipe)
    records, texts = SceneSet.load(maker.work / "corpus", split).records, EmbeddingSet.load(maker.work, "encoder")
    seeds = comparison.seeds[: captions.seeds]
    made = _make(comparison, captions, seeds, maker, texts)
    rivals = _with_captions(made, seeds, held_out.audio, maker.device)
    measured, left_out = measure_captions([rival.captions for rival in rivals], records, reader)
    bridges = [_captioned(rival, *runs) for rival, runs in zip(rivals, measured, strict=True)]
    by_setting = {setting: [bridge for bridge in bridges if bridge.setting == setting] for setting in SETTINGS}
    report = CaptionReport(
        split=split,
        scenes=len(records),
        seeds=seeds,
        seen=Seen(
            encoder_trained_here=encoder_trained_here(maker.work),
            encoder_scenes=len(texts.offsets) - 1,
            encoder_captions=len(texts.text),
            bridge_scenes=len(maker.pairs.audio),
            bridge_captions=len(maker.pairs.text),
            pairs_shares=comparison.pairs_shares,
            noise_variance=captions.decoder.noise_variance,
            augmenter=augmenter({rival.name: rival.bridges[0] for rival in rivals}),
        ),
        left_out=left_out,
        references=measure_references(records),
        bridges=tuple(bridge for setting in SETTINGS for bridge in with_gains(by_setting[setting])),
        margins=tuple(margin for setting in SETTINGS for margin in margins(setting, by_setting[setting])),
        samples=_samples(rivals, records, seeds[0]),
    )
    return report, [_line(row, record, rivals, seeds) for row, record in enumerate(records)]


def _make(
    comparison: ComparisonRecipe,
    recipe: CaptionComparisonRecipe,
    seeds: Sequence[int],
    maker: BridgeMaker,
    texts: EmbeddingSet,
) -> list[Rival]:
    """Make, or find, every bridge and decoder, before the first caption is written: a run that is broken off goes on."""
    decoders = DecoderMaker(maker.work, maker.device, recipe.decoder, maker.pairs, texts, maker.validation)
    bridges = {name: maker.bridges(name, comparison.bridges[name], seeds) for name in comparison.captioned}
    first = {name: by_seed[0] for name, by_seed in bridges.items()}
    rivals = []
    for setting in SETTINGS:
        for name, choice in decoder_choices(setting, first).items():
            teachers = zip(bridges[choice.teacher], seeds, strict=True)
            made = [decoders.make(setting, choice.teacher, teacher, seed) for teacher, seed in teachers]
            rivals.append(Rival(setting, name, choice.own, bridges[name], made))
    return rivals


@torch.no_grad()
def _with_captions(
    rivals: Sequence[Rival], seeds: Sequence[int], audio: Float[Tensor, "scenes dim"], device: torch.device
) -> list[Rival]:
    """The rivals with what each writes under every seed."""
    with progress_bar() as progress:
        task = progress.add_task("writing captions", total=len(rivals) * len(seeds) * len(audio))

        def advance(count: int) -> None:
            progress.advance(task, count)

        def written(rival: Rival) -> Iterator[list[str]]:
            for bridge, decoder, seed in zip(rival.bridges, rival.decoders, seeds, strict=True):
                # As in `evaluate gap`, every scene has a noise of its own under every seed.
                scene_seeds = range(seed * len(audio), (seed + 1) * len(audio))
                yield _write(bridge(audio.to(device), scene_seeds), scene_seeds, decoder, advance)

        return [replace(rival, captions=tuple(written(rival))) for rival in rivals]


def _write(bridged: Float[Tensor, "scenes dim"], seeds: Sequence[int], directory: Path, advance: Advance) -> list[str]:
    decoder = load_decoder(directory, bridged.device)
    captions: list[str] = []
    for start in range(0, len(bridged), _BATCH_SIZE):
        part = bridged[start : start + _BATCH_SIZE]
        written = decoder.generate(
            part, seeds=seeds[start : start + len(part)], candidates=1, max_new_tokens=_MAX_NEW_TOKENS
        )
        captions.extend(texts[0] for texts in written)
        advance(len(part))
    return captions


def _captioned(rival: Rival, figures: CaptionFigures, cider_d_by_seed: tuple[float, ...]) -> CaptionedBridge:
    return CaptionedBridge(
        setting=rival.setting,
        name=rival.name,
        kind=rival.bridges[0].config.kind,
        own_decoder=rival.own_decoder,
        figures=figures,
        cider_d_by_seed=cider_d_by_seed,
        gain=None,
    )


def _samples(rivals: Sequence[Rival], records: Sequence[SceneRecord], seed: int) -> tuple[CaptionSample, ...]:
    """Captions under the first seed, of scenes drawn by the seed alone, without a bridge and behind Diffusion-Link."""
    shown = [rival for rival in rivals if rival.bridges[0].config.kind in _SAMPLED_KINDS]
    rows = random.Random(seed).sample(range(len(records)), min(_SAMPLES, len(records))) if shown else []
    return tuple(
        CaptionSample(
            id=records[row].id,
            truth=records[row].sounds,
            reference=records[row].captions[0],
            captions={
                setting: {rival.name: rival.captions[0][row] for rival in shown if rival.setting == setting}
                for setting in dict.fromkeys(rival.setting for rival in shown)
            },
        )
        for row in rows
    )


def _line(row: int, record: SceneRecord, rivals: Sequence[Rival], seeds: Sequence[int]) -> str:
    """One line of captions.jsonl."""
    captions: dict[str, dict[str, dict[str, str]]] = {}
    for rival in rivals:
        written = zip(seeds, rival.captions, strict=True)
        captions.setdefault(rival.setting, {})[rival.name] = {str(seed): texts[row] for seed, texts in written}
    content = {"id": record.id, "truth": record.sounds, "references": record.captions, "captions": captions}
    return json.dumps(content, ensure_ascii=False) + "\n"
