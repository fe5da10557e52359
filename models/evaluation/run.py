"""evaluate: measure an artifact on recordings and scenes that no training saw; reads corpus/, writes evaluation/.

The test split goes to evaluation/, where `export` finds it for the model card; the validation split, which settings are
chosen on, goes to evaluation-validation/, so that it can never be taken for the other.
"""

from functools import partial
from pathlib import Path

from rich.console import Console

from models.clap.store import load_clap
from models.device import resolve_device
from models.evaluation.caption_metrics import check_available
from models.evaluation.clips import Advance, caption_clips, listen_to_recordings, listen_to_scenes, read_recordings
from models.evaluation.measure import Measurements
from models.evaluation.report import Report, markdown_report, print_report
from models.evaluation.settings import Split, report_folder
from models.pipeline import Pipeline
from models.training.bank import read_sounds
from models.training.folders import finished, replaced
from models.training.loop import progress_bar
from models.training.recipe import Recipe
from models.training.scenes import SceneSet


def evaluate(recipe: Recipe, work: Path, artifact: Path, device: str, split: Split | None = None) -> None:
    """Evaluate an artifact on a split of the corpus in `work`, print the tables and write them beside it.

    Raises:
        TrainingError: the corpus is not there or lacks the split, or the extra `train` is not installed.
        ArtifactError: the artifact cannot be used.
        DeviceError: there is no such device.
    """
    check_available()
    settings, corpus = recipe.evaluate, finished(work, "corpus")
    split = split or settings.split
    phrases = {sound.name: sound.phrases for sound in read_sounds(recipe.corpus.sounds)}
    recordings, scene_set = read_recordings(corpus, split), SceneSet.load(corpus, split)
    pipeline = Pipeline.load(artifact, device)
    encoder = load_clap(artifact / "clap", resolve_device(device))
    with progress_bar() as progress:

        def advance(name: str, total: int) -> Advance:
            return partial(progress.advance, progress.add_task(name, total=total))

        total = len(recordings)
        singles = listen_to_recordings(
            pipeline, recordings, phrases, settings.embed_batch_size, advance("listening to recordings", total)
        )
        scenes = listen_to_scenes(
            encoder, scene_set, settings.embed_batch_size, advance("listening to scenes", len(scene_set.records))
        )
        writing = advance("writing captions", 2 * (total + len(scene_set.records)))
        captioned = [caption_clips(pipeline, clips, settings, writing) for clips in (singles, scenes)]
    report = Measurements(pipeline, phrases, settings, *captioned).report(split)
    directory = report_folder(work, "evaluation", split)
    write_report(report, directory)
    console = Console()
    print_report(report, console)
    console.print(f"Written to {directory}")


def write_report(report: Report, directory: Path) -> None:
    """Write report.json and report.md into `directory`, all or nothing, in place of what was there."""
    with replaced(directory) as new:
        (new / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (new / "report.md").write_text(markdown_report(report), encoding="utf-8")
