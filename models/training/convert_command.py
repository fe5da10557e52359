"""`diffusion-link convert clap SOURCE OUTPUT`: a released encoder, as embed and artifacts hold it."""

import argparse
from pathlib import Path

from models.training.command_kit import Subparsers, add_json_flag, reporting


def add_convert(subparsers: Subparsers) -> None:
    """Add the command; it sets `run`, as the others do."""
    summary = "make an artifact's CLAP folder from a released encoder"
    kinds = subparsers.add_parser("convert", help=summary, description=summary).add_subparsers(metavar="KIND", required=True)
    parser = kinds.add_parser("clap", help=summary, description=summary)
    parser.add_argument("source", help="a transformers folder, an id of the hub, or a checkpoint of LAION's (.pt)")
    parser.add_argument("output", type=Path, help="where to write it: WORK/clap/model, for the stages that come after")
    parser.add_argument("--revision", help="branch, tag or commit of the hub")
    parser.add_argument("--tokenizer", metavar="SOURCE", help="folder or hub id; a .pt has none (FacebookAI/roberta-base)")
    parser.add_argument(
        "--trust-pickle",
        metavar="SHA256",
        help="load a .pt that safe loading refuses, if this is its sum: it can then run any code that is in it",
    )
    add_json_flag(parser)
    parser.set_defaults(run=reporting("convert clap", _convert_clap))


def _convert_clap(arguments: argparse.Namespace) -> None:
    from models.clap.convert import convert_clap

    convert_clap(
        arguments.source,
        arguments.output,
        revision=arguments.revision,
        tokenizer=arguments.tokenizer,
        trusted_sha256=arguments.trust_pickle,
    )
