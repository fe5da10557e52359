"""What tests of both packages share: a tiny encoder, a tiny artifact that writes real words, and a tone."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from models.artifact import write_manifest
from models.audio import SAMPLE_RATE_HZ
from models.bridge.denoiser import DenoiserConfig
from models.bridge.diffusion_link import DiffusionLink, DiffusionLinkConfig
from models.bridge.sampler import SamplingConfig
from models.bridge.statistics import EmbeddingStatistics
from models.bridge.store import save_bridge
from models.clap.encoder import ClapEncoder
from models.clap.small import SmallClapConfig, build_small_clap
from models.clap.store import save_clap
from models.clap.tokenizer import train_clap_tokenizer
from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.small import build_small_language_model
from models.decoder.store import save_decoder
from models.decoder.tokenizer import train_tokenizer
from models.evaluation import more_metrics
from models.evaluation.aac import PYTHON_VARIABLE
from models.evaluation.caption_metrics import CaptionSet, MetricMissingError

TINY_DIM = 16
CAPTIONS = [
    f"{thing} {deed}"
    for thing in ("a dog", "a cat", "rain", "a door", "a bell")
    for deed in ("barks", "is falling", "closes", "rings twice and then stops")
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `cuda` where there is no GPU."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests a GPU would have run, or has run: a skipped test is easily taken for a passed one."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    reports = terminalreporter.getreports("passed" if gpus else "skipped")
    count = len({report.nodeid for report in reports if "cuda" in report.keywords})
    if count:
        what = f"passed on {torch.cuda.get_device_name()}" if gpus else "skipped, there is no GPU"
        terminalreporter.write_line(f"{count} tests marked cuda {what}")


@pytest.fixture(scope="session", autouse=True)
def _no_other_programs() -> Iterator[None]:
    """Leave out metrics that start another program, but where a test is of them: METEOR reads its tables for seconds."""

    def refuse(sets: Sequence[CaptionSet]) -> list[float]:
        raise MetricMissingError("not in this test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(more_metrics, "score_meteor", refuse)
        patch.delenv(PYTHON_VARIABLE, raising=False)
        yield


@pytest.fixture(scope="session")
def tiny_clap() -> ClapEncoder:
    """An untrained encoder of width `TINY_DIM`; shared, so leave its weights alone."""
    torch.manual_seed(0)
    config = SmallClapConfig(dim=TINY_DIM, channels=(4, 8), text_dim=16, text_layers=1, text_heads=2, max_text_tokens=24)
    return build_small_clap(config, train_clap_tokenizer(CAPTIONS, 300)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_artifact(tiny_clap: ClapEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete artifact directory; shared, so copy it before damaging it."""
    directory = tmp_path_factory.mktemp("artifact") / "tiny"
    save_clap(tiny_clap, directory / "clap")
    texts = tiny_clap.embed_texts(CAPTIONS)
    save_bridge(_bridge(texts), directory / "bridge")
    save_decoder(_decoder(texts), directory / "decoder")
    (directory / "README.md").write_text("# tiny\n\nFor tests.\n", encoding="utf-8")
    write_manifest(
        directory,
        name="tiny",
        version="1",
        code_revision="unknown",
        licence="MIT",
        recipe={"decoder": {"steps": 60}},
        training_data={"scenes": 20},
        metrics={"top1": 0.05},
    )
    return directory


@pytest.fixture(scope="session")
def tone_wav() -> bytes:
    """One second of a tone, 16 bit mono at 48 kHz."""
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    file = io.BytesIO()
    sf.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _bridge(texts: torch.Tensor) -> DiffusionLink:
    torch.manual_seed(1)
    config = DiffusionLinkConfig(
        dim=TINY_DIM,
        denoiser=DenoiserConfig(hidden_dim=32, timestep_dim=8),
        sampling=SamplingConfig(start_step=400, noise_scale=0.5),
    )
    return DiffusionLink(config, EmbeddingStatistics.fit(texts.flip(1), texts)).eval()


def _decoder(texts: torch.Tensor) -> CaptionDecoder:
    """Knows how captions go after a second of training, so that its candidates are words and differ."""
    torch.manual_seed(2)
    tokenizer = train_tokenizer(CAPTIONS, 300)
    model = build_small_language_model(tokenizer, hidden_size=48, num_layers=2, num_heads=4, max_positions=24, dropout=0.0)
    config = DecoderConfig(dim=TINY_DIM, prefix_length=2, projector_dim=64, num_beams=2)
    decoder = CaptionDecoder(config, model, tokenizer)
    decoder.projector.fit_statistics(texts)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        decoder.loss(texts, CAPTIONS).backward()
        optimiser.step()
    return decoder.eval()
