"""Half precision against float32, and compiled against eager: how much faster the encoder is, and what it changes.

    python -m benchmarks.precision [--artifact DIR] [--device DEVICE] [--out DIR]

Without an artifact the encoder is LAION's by its sizes, with random weights. All variants embed the same windows in turn,
round after round, and a ratio compares two of one round.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import ClapConfig, ClapModel

from benchmarks.report import environment, format_results, write_json
from benchmarks.results import Results, Target
from models.audio import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from models.clap.encoder import ClapEncoder
from models.clap.store import load_clap, save_clap
from models.clap.tokenizer import train_clap_tokenizer
from models.device import describe_device, resolve_device, use_exact_float32

_BATCHES = (1, 8)
_EXACT = "fp32"
_DTYPES = {_EXACT: torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_AS_GOOD = Target(high=1e-3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; exit status 1 where half precision changes embeddings by more than it may."""
    options = _parse(arguments)
    device, results = resolve_device(options.device), Results()
    use_exact_float32()
    facts = environment()
    threads = torch.get_num_threads()
    print(f"{facts['processor']}, {len(os.sched_getaffinity(0))} cores, {describe_device(device)}, {threads} threads\n")
    with _directory(options.artifact) as directory, torch.inference_mode():
        encoders = _encoders(directory, device, options.compile)
        for batch in _BATCHES:
            _measure(results, encoders, _windows(batch).to(device), options.rounds)
    print(format_results(results))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "precision.json", results, environment=facts)
    return 1 if results.missed else 0


@contextmanager
def _directory(artifact: Path | None) -> Iterator[Path]:
    """The encoder's folder in an artifact, or of one that is made for the occasion."""
    if artifact is not None:
        yield artifact / "clap"
        return
    with tempfile.TemporaryDirectory() as folder:
        save_clap(_random_encoder(), Path(folder))
        yield Path(folder)


def _random_encoder() -> ClapEncoder:
    """LAION's encoder by its sizes.

    The defaults of ClapConfig are said to be those of LAION's HTSAT checkpoints by transformers' documentation.
    """
    torch.manual_seed(0)
    encoder = ClapEncoder(ClapModel(ClapConfig()), train_clap_tokenizer(["a dog barks", "rain falls"], 300)).eval()
    norm = encoder.model.audio_model.audio_encoder.batch_norm
    # As training leaves it: without, decibels would come into the tower as they are, a hundred times too large.
    decibels = encoder.log_mel(_windows(8)).flatten(0, 1)
    norm.running_mean.copy_(decibels.mean(dim=0))
    norm.running_var.copy_(decibels.var(dim=0))
    return encoder


def _windows(count: int) -> Tensor:
    """Noise that swells, and a tone of another pitch in each window."""
    generator = torch.Generator().manual_seed(count)
    seconds = torch.arange(WINDOW_SAMPLES) / SAMPLE_RATE_HZ
    noise = torch.randn(count, WINDOW_SAMPLES, generator=generator) * torch.linspace(0.01, 0.2, WINDOW_SAMPLES)
    pitches_hz = 110 * 2 ** (torch.arange(count) / 2)
    return noise + 0.2 * torch.sin(2 * torch.pi * pitches_hz.unsqueeze(1) * seconds)


def _encoders(directory: Path, device: torch.device, compiled: bool) -> dict[str, ClapEncoder]:
    encoders = {name: load_clap(directory, device, dtype) for name, dtype in _DTYPES.items()}
    if compiled:
        for name in (_EXACT, "bf16"):
            encoder = load_clap(directory, device, _DTYPES[name])
            encoder.compile_towers()
            encoders[f"{name}, compiled"] = encoder
    return encoders


def _measure(results: Results, encoders: Mapping[str, ClapEncoder], windows: Tensor, rounds: int) -> None:
    """Embed windows with every encoder, once to warm up (and to compile) and then in turn."""
    count = f"{len(windows)} window{'s' * (len(windows) > 1)}"
    for name, encoder in encoders.items():
        started_s = time.perf_counter()
        encoder.embed_audio(windows).cpu()
        first_s = time.perf_counter() - started_s
        results.add(f"{count}, first call: {name}", first_s, "s")
    for _ in range(rounds):
        embedded: dict[str, Tensor] = {}
        took_s: dict[str, float] = {}
        for name, encoder in encoders.items():
            started_s = time.perf_counter()
            embedded[name] = encoder.embed_audio(windows).cpu()
            took_s[name] = time.perf_counter() - started_s
        results.add(f"{count}: {_EXACT}", 1e3 * took_s[_EXACT], "ms")
        for name in list(encoders)[1:]:
            results.add(f"{count}: {name}, times as fast", took_s[_EXACT] / took_s[name], "×")
            cosines = functional.cosine_similarity(embedded[_EXACT].double(), embedded[name].double(), dim=1)
            results.add(f"{count}: {name}, 1 − cosine", 1 - float(cosines.min()), "", _AS_GOOD)
        results.requests += len(encoders)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.precision", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--artifact", type=Path, metavar="DIR", help="measure the encoder of an artifact")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="how often everything is measured (default 10)")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without a C++ compiler")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where precision.json is written")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
