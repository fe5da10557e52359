"""The training commands: corpus, train-clap, embed, train-bridge, train-decoder, evaluate (gap, captions, report), export.

Each takes a recipe and runs one stage in its work directory; `convert`, beside them, takes none. `app.cli` adds them to the
program. The stages are imported when a command runs: nothing that serves should wait for, or hold, what only training needs.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from models.output import say_written
from models.training.command_kit import Subparsers, add_json_flag, reporting
from models.training.convert_command import add_convert


def add_commands(subparsers: Subparsers) -> None:
    """Add all training commands; each sets `run`, which takes the parsed arguments and returns the exit status."""
    for name, (run, summary) in _COMMANDS.items():
        parser = subparsers.add_parser(name, help=summary, description=summary)
        parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="what to do, a section for each command")
        parser.add_argument(
            "--work", type=Path, metavar="DIR", help="where all commands of a recipe keep their files (work/RECIPE)"
        )
        parser.add_argument("--resume", action="store_true", help="go on where an interrupted run of this command ended")
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (auto)")
        if name == "embed":
            parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16; auto is bf16 on a GPU (auto)")
        if name == "evaluate":
            parser.add_argument("--artifact", type=Path, metavar="DIR", help="what to measure (DIR/artifact of --work)")
        if name.startswith("evaluate"):
            parser.add_argument("--split", choices=("validation", "test"), help="instead of the recipe's")
        if name in ("evaluate gap", "evaluate captions"):
            parser.add_argument("--seeds", type=int, metavar="N", help="only the first N of the recipe's (all)")
        add_json_flag(parser)
        parser.set_defaults(run=reporting(name, run))
    add_convert(subparsers)


def joined_words(arguments: Sequence[str]) -> list[str]:
    """Join the words of a command that has two, as in `evaluate gap RECIPE.toml`, into the one that argparse knows.

    An optional word before the recipe would be simpler, but argparse takes the recipe for it as soon as a flag comes first.
    """
    command = " ".join(arguments[:2])
    return [command, *arguments[2:]] if command in _COMMANDS else list(arguments)


def work_directory(arguments: argparse.Namespace) -> Path:
    """Where the stages of a recipe keep their files."""
    given: Path | None = arguments.work
    return given if given is not None else Path("work") / arguments.recipe.stem


def _corpus(arguments: argparse.Namespace) -> None:
    from models.training.corpus import make_corpus
    from models.training.data_recipe import list_data_set
    from models.training.folders import begin_stage, fingerprint
    from models.training.recipe import read_recipe

    recipe, directory = read_recipe(arguments.recipe), work_directory(arguments) / "corpus"
    if recipe.data is not None:
        # A list takes seconds and is replaced as a whole: there is nothing to resume.
        list_data_set(recipe.data, directory)
    else:
        scenes = recipe.scenes
        settings = scenes.model_dump(mode="json", exclude={"workers"})
        tables = fingerprint([scenes.sounds, scenes.recordings])
        begin_stage(directory, {"recipe": settings, "tables": tables}, resume=arguments.resume)
        make_corpus(scenes, directory)
    say_written(directory)


def _train_clap(arguments: argparse.Namespace) -> None:
    from models.training.bank import read_sounds
    from models.training.folders import begin_stage, fingerprint, scenes_fingerprint
    from models.training.recipe import missing_section, read_recipe
    from models.training.train_clap import train_clap

    recipe, work = read_recipe(arguments.recipe), work_directory(arguments)
    settings = recipe.clap
    if settings is None:
        raise missing_section("clap")
    begun = {
        "recipe": settings.model_dump(mode="json"),
        "scenes": scenes_fingerprint(work, "encoder"),
        "sounds": fingerprint([recipe.scenes.sounds]),
    }
    begin_stage(work / "clap", begun, resume=arguments.resume)
    train_clap(settings, read_sounds(recipe.scenes.sounds), work, arguments.device, resume=arguments.resume)
    say_written(work / "clap" / "model")


def _embed(arguments: argparse.Namespace) -> None:
    from models.training.embed import embed
    from models.training.recipe import read_recipe

    recipe, work = read_recipe(arguments.recipe), work_directory(arguments)
    embed(
        recipe.embed,
        work,
        arguments.device,
        resume=arguments.resume,
        precision=arguments.precision,
        max_bad_share=0.0 if recipe.data is None else recipe.data.max_bad_share,
    )
    say_written(work / "embeddings")


def _train_bridge(arguments: argparse.Namespace) -> None:
    from models.training.recipe import missing_section, read_recipe
    from models.training.train_bridge import train_bridge

    settings, work = read_recipe(arguments.recipe).bridge, work_directory(arguments)
    if settings is None:
        raise missing_section("bridge")
    train_bridge(settings, work, arguments.device, resume=arguments.resume)
    say_written(work / "bridge" / "model")


def _train_decoder(arguments: argparse.Namespace) -> None:
    from models.training.recipe import missing_section, read_recipe
    from models.training.train_decoder import train_decoder

    settings = read_recipe(arguments.recipe).decoder
    if settings is None:
        raise missing_section("decoder")
    train_decoder(settings, work_directory(arguments), arguments.device, resume=arguments.resume)


def _evaluate(arguments: argparse.Namespace) -> None:
    from models.artifact import read_manifest
    from models.evaluation.run import evaluate
    from models.training.export import MEASURED_FILE
    from models.training.folders import finished
    from models.training.recipe import read_recipe

    recipe, work = read_recipe(arguments.recipe), work_directory(arguments)
    artifact = arguments.artifact or finished(work, "artifact")
    files = read_manifest(artifact).files
    evaluate(recipe, work, artifact, arguments.device, arguments.split)
    if (arguments.split or recipe.evaluate.split) == "test":
        (work / "evaluation" / MEASURED_FILE).write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")


def _evaluate_gap(arguments: argparse.Namespace) -> None:
    from models.evaluation.compare_gap import compare_gap
    from models.training.recipe import missing_section, read_recipe

    recipe = read_recipe(arguments.recipe)
    if recipe.comparison is None:
        raise missing_section("comparison")
    split = arguments.split or recipe.evaluate.split
    recipe = recipe.model_copy(update={"comparison": recipe.comparison.first_seeds(arguments.seeds)})
    compare_gap(recipe, work_directory(arguments), arguments.device, split)


def _evaluate_captions(arguments: argparse.Namespace) -> None:
    from models.evaluation.compare_captions import compare_captions
    from models.training.recipe import missing_section, read_recipe

    recipe = read_recipe(arguments.recipe)
    if recipe.comparison is None:
        raise missing_section("comparison")
    comparison = recipe.comparison.first_caption_seeds(arguments.seeds)
    split = arguments.split or recipe.evaluate.split
    recipe = recipe.model_copy(update={"comparison": comparison})
    compare_captions(recipe, work_directory(arguments), arguments.device, split)


def _evaluate_report(arguments: argparse.Namespace) -> None:
    from models.evaluation.compare_report import compare_report
    from models.training.recipe import read_recipe

    recipe = read_recipe(arguments.recipe)
    split = arguments.split or recipe.evaluate.split
    compare_report(recipe, work_directory(arguments), arguments.device, split)


def _export(arguments: argparse.Namespace) -> None:
    from models.training.bank import read_sounds
    from models.training.export import export
    from models.training.recipe import missing_section, read_recipe

    recipe = read_recipe(arguments.recipe)
    settings = recipe.export
    if settings is None:
        raise missing_section("export")
    sounds = [] if recipe.data is not None else [sound.name for sound in read_sounds(recipe.scenes.sounds)]
    export(settings, recipe.model_dump(mode="json"), sounds, work_directory(arguments), arguments.device)


_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], None], str]] = {
    "corpus": (_corpus, "mix labelled recordings into scenes with captions, or list the clips of a data set"),
    "train-clap": (_train_clap, "train a small CLAP encoder from scratch on the scenes"),
    "embed": (_embed, "embed scenes and captions with the frozen encoder"),
    "train-bridge": (_train_bridge, "train the bridge from audio to text embeddings"),
    "train-decoder": (_train_decoder, "train the language model that writes captions for embeddings"),
    "evaluate": (_evaluate, "measure an artifact on recordings and scenes that no training saw"),
    "evaluate gap": (_evaluate_gap, "train every bridge of a comparison and measure the modality gap behind each"),
    "evaluate captions": (_evaluate_captions, "train decoders for every bridge of a comparison and measure their captions"),
    "evaluate report": (_evaluate_report, "put all that a comparison of bridges shows on one page, with plots and sweeps"),
    "export": (_export, "put what was trained together as an artifact, with what was measured of it"),
}
