"""evaluate: measure an artifact on what no training saw, scenes or a data set's clips; reads corpus/, writes evaluation/.

The test split goes to evaluation/, where `export` finds it for the model card; the validation split, which settings are
chosen on, goes to evaluation-validation/, so that it can never be taken for the other.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.clap.store import load_clap
from models.device import resolve_device
from models.evaluation.caption_metrics import check_available
from models.evaluation.clips import Advance, caption_clips, listen_to_recordings, listen_to_scenes, read_recordings
from models.evaluation.data_clips import check_unusable, listen_to_data, measure_data, read_data_clips
from models.evaluation.data_report import data_report_page
from models.evaluation.measure import Measurements
from models.evaluation.report import report_page
from models.evaluation.settings import EvaluateRecipe, Figures, Split, report_folder
from models.evaluation.text_table import Page
from models.evaluation.texts import TextEmbedder
from models.output import say_written, show
from models.pipeline import Pipeline
from models.training.bank import read_sounds
from models.training.data_recipe import DataRecipe
from models.training.folders import finished, replaced
from models.training.progress import progress_bar
from models.training.recipe import Recipe
from models.training.scenes import SceneSet

Track = Callable[[str, int], Advance]
"""Begins a bar of progress: what is done, and of how many."""


def evaluate(recipe: Recipe, work: Path, artifact: Path, device: str, split: Split | None = None) -> None:
    """Evaluate an artifact on a split of the corpus in `work`, print the tables and write them beside it.

    Raises:
        TrainingError: the corpus is not there or lacks the split, or the extra `train` is not installed.
        RecipeError: too many clips of the data set cannot be used.
        ArtifactError: the artifact cannot be used.
        DeviceError: there is no such device.
    """
    check_available()
    corpus, split = finished(work, "corpus"), split or recipe.evaluate.split
    report: Figures
    with progress_bar() as progress:

        def track(name: str, total: int) -> Advance:
            return partial(progress.advance, progress.add_task(name, total=total))

        if recipe.data is None:
            report, page = _evaluate_scenes(recipe, corpus, artifact, device, split, track)
        else:
            report, page = _evaluate_data(recipe.evaluate, recipe.data, corpus, artifact, device, split, track)
    directory = report_folder(work, "evaluation", split)
    with replaced(directory) as new:
        (new / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (new / "report.md").write_text(page.markdown(), encoding="utf-8")
    show(page.print, report=report)
    say_written(directory)


def _evaluate_scenes(
    recipe: Recipe, corpus: Path, artifact: Path, device: str, split: Split, track: Track
) -> tuple[Figures, Page]:
    """Measure on the single recordings and the scenes of a corpus that was mixed."""
    settings = recipe.evaluate
    phrases = {sound.name: sound.phrases for sound in read_sounds(recipe.scenes.sounds)}
    recordings, scene_set = read_recordings(corpus, split), SceneSet.load(corpus, split)
    pipeline = Pipeline.load(artifact, device)
    encoder = load_clap(artifact / "clap", resolve_device(device))
    total, size = len(recordings), settings.embed_batch_size
    singles = listen_to_recordings(pipeline, recordings, phrases, size, track("listening to recordings", total))
    scenes = listen_to_scenes(encoder, scene_set, size, track("listening to scenes", len(scene_set.records)))
    writing = track("writing captions", 2 * (total + len(scene_set.records)))
    captioned = [caption_clips(pipeline, clips, settings, writing) for clips in (singles, scenes)]
    texts = TextEmbedder.load(pipeline, artifact, device)
    report = Measurements(pipeline, texts, phrases, settings, *captioned).report(split)
    return report, report_page(report)


def _evaluate_data(
    settings: EvaluateRecipe, data: DataRecipe, corpus: Path, artifact: Path, device: str, split: Split, track: Track
) -> tuple[Figures, Page]:
    """Measure on the clips of a data set."""
    listed = read_data_clips(corpus, split)
    pipeline = Pipeline.load(artifact, device)
    clips, bad = listen_to_data(pipeline, listed, settings.embed_batch_size, track("listening to clips", len(listed)))
    unusable = check_unusable(data, corpus, split, len(listed), bad)
    captioned = caption_clips(pipeline, clips, settings, track("writing captions", 2 * len(clips.ids)))
    texts = TextEmbedder.load(pipeline, artifact, device)
    report = measure_data(pipeline, texts, settings, captioned, split, data=data.kind, unusable=unusable)
    return report, data_report_page(report)
