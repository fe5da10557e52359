"""Half precision says nearly what float32 says; compiling; a GPU, which agrees with the CPU and can run out of memory."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float32
from transformers import ClapConfig, ClapModel

from models.artifact import EMBEDDED_ARTIFACT
from models.audio import WINDOW_SAMPLES, AudioLimits, cut_windows, decode_audio
from models.clap.encoder import ClapEncoder
from models.errors import DeviceMemoryError
from models.pipeline import Pipeline

_EXAMPLES = Path(__file__).parents[2] / "examples"
_TEXTS = ["a dog barks", "rain is falling", "a bell rings twice and then stops"]
_Rows = Float32[np.ndarray, "rows columns"]


def _noise(count: int) -> _Rows:
    return np.random.default_rng(count).uniform(-0.5, 0.5, (count, WINDOW_SAMPLES)).astype(np.float32)


def _cosines(rows: _Rows, others: _Rows) -> np.ndarray:
    return (rows.astype(np.float64) * others).sum(axis=1)


@pytest.fixture(scope="module")
def recordings() -> _Rows:
    """The first window of each example."""
    files = sorted(_EXAMPLES.glob("*.wav")) + sorted(_EXAMPLES.glob("*.flac"))
    assert files
    return np.stack([cut_windows(decode_audio(file.read_bytes(), AudioLimits()))[0] for file in files])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_embeds_recordings_as_float32_does(recordings: _Rows, precision: str) -> None:
    """The artifact that is shipped."""
    exact, half = (Pipeline.load(EMBEDDED_ARTIFACT, "cpu", precision=name) for name in ("fp32", precision))
    of_exact, of_half = ([pipeline.embed_audio(recordings), pipeline.embed_texts(_TEXTS)] for pipeline in (exact, half))
    for rows, others in zip(of_exact, of_half, strict=True):
        assert _cosines(rows, others).min() >= 0.999
        assert not np.array_equal(rows, others), "it does compute otherwise"


def test_half_precision_of_a_transformer_for_audio(recordings: _Rows, tiny_clap: ClapEncoder) -> None:
    """A tower of the kind of LAION's, with random weights."""
    torch.manual_seed(0)
    config = ClapConfig(
        audio_config={
            "patch_embeds_hidden_size": 16,
            "depths": [1, 1, 2, 1],
            "num_attention_heads": [1, 2, 4, 8],
            "hidden_size": 128,
        },
        text_config=tiny_clap.model.config.text_config.to_dict(),
        projection_dim=32,
    )
    model = ClapModel(config).eval()
    exact, half = (ClapEncoder(model, tiny_clap.tokenizer, dtype).eval() for dtype in (torch.float32, torch.bfloat16))
    windows = torch.tensor(recordings[:3])
    with torch.inference_mode():
        cosines = (exact.embed_audio(windows) * half.embed_audio(windows)).sum(dim=1)
    assert 0.999 <= cosines.min() < 1 - 1e-7


def test_company_changes_little_in_bfloat16(recordings: _Rows) -> None:
    """Within 1e-4, as in float32, a row would be luck: 8 bits are 4e-3 of a number."""
    pipeline = Pipeline.load(EMBEDDED_ARTIFACT, "cpu", precision="bf16")
    together = pipeline.embed_audio(recordings)
    alone = np.concatenate([pipeline.embed_audio(recordings[i : i + 1]) for i in range(len(recordings))])
    assert _cosines(together, alone).min() >= 0.999


def test_captions_in_bfloat16_are_captions(tiny_artifact: Path) -> None:
    pipeline = Pipeline.load(tiny_artifact, "cpu", precision="bf16")
    bridged = pipeline.bridge(pipeline.embed_audio(_noise(2)), [1, 2])
    assert bridged.dtype == np.float32
    rows = pipeline.write(bridged, seeds=[1, 2], candidates=2, max_new_tokens=12)
    assert all(scored.caption and -1 <= scored.score <= 1 for row in rows for scored in row)


def test_the_encoder_is_compiled_for_all_sizes_of_serving(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    embed, compile_towers = ClapEncoder.embed_audio, ClapEncoder.compile_towers

    def noted(clap: ClapEncoder, windows: torch.Tensor) -> torch.Tensor:
        sizes.append(len(windows))
        return embed(clap, windows)

    def compiled(clap: ClapEncoder) -> None:
        assert not sizes
        sizes.append(0)
        clap.model.audio_model.compile = lambda: None  # what the compiler does is not ours to test, and takes a minute
        compile_towers(clap)

    monkeypatch.setattr(ClapEncoder, "embed_audio", noted)
    monkeypatch.setattr(ClapEncoder, "compile_towers", compiled)
    Pipeline.load(tiny_artifact, "cpu", compile_encoder=True)
    assert sizes == [0, 1, 2, 8]
    sizes.clear()
    Pipeline.load(tiny_artifact, "cpu")
    assert sizes == []


@pytest.mark.cuda
@pytest.mark.parametrize(("precision", "least"), [("fp32", 1 - 1e-4), ("bf16", 0.999), ("fp16", 0.999)])
def test_a_gpu_agrees_with_the_cpu(tiny_artifact: Path, precision: str, least: float) -> None:
    exact, on_gpu = Pipeline.load(tiny_artifact, "cpu"), Pipeline.load(tiny_artifact, "cuda", precision=precision)
    on_gpu.warm_up()
    assert _cosines(on_gpu.embed_audio(_noise(3)), exact.embed_audio(_noise(3))).min() >= least
    assert _cosines(on_gpu.embed_texts(_TEXTS), exact.embed_texts(_TEXTS)).min() >= least
    if precision == "fp32":
        np.testing.assert_allclose(on_gpu.embed_audio(_noise(3)), exact.embed_audio(_noise(3)), atol=1e-4)


@pytest.mark.cuda
def test_a_gpu_computes_in_bfloat16_unless_told_otherwise(tiny_artifact: Path) -> None:
    pipeline = Pipeline.load(tiny_artifact, "cuda")
    expected = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    assert pipeline.describe()["decoder"]["precision"] == expected
    rows = pipeline.write(pipeline.embed_audio(_noise(2)), seeds=[1, 2], candidates=2, max_new_tokens=12)
    assert all(scored.caption for row in rows for scored in row)


@pytest.mark.cuda
def test_two_stages_at_once_answer_what_they_answer_alone(tiny_artifact: Path) -> None:
    pipeline = Pipeline.load(tiny_artifact, "cuda", precision="fp32")
    assert pipeline.concurrent
    windows = _noise(4)
    embedded = pipeline.embed_audio(windows)
    settings = {"seeds": [1, 2, 3, 4], "candidates": 3, "max_new_tokens": 16}
    captions = [[scored.caption for scored in row] for row in pipeline.write(embedded, **settings)]
    again: list[_Rows] = []
    embedding = threading.Thread(target=lambda: again.extend(pipeline.embed_audio(windows) for _ in range(20)))
    embedding.start()
    for _ in range(5):
        assert [[scored.caption for scored in row] for row in pipeline.write(embedded, **settings)] == captions
    embedding.join()
    for rows in again:
        np.testing.assert_allclose(rows, embedded, atol=1e-4)


@pytest.fixture
def small_gpu() -> Iterator[torch.device]:
    """A GPU that gives this process little more than what it has already."""
    device = torch.device("cuda", 0)
    yield device
    torch.cuda.set_per_process_memory_fraction(1.0, device)
    torch.cuda.empty_cache()


def _limit(device: torch.device, more_bytes: int) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + more_bytes) / total, device)


@pytest.mark.cuda
def test_batches_that_do_not_fit_can_be_halved_until_they_do(tiny_artifact: Path, small_gpu: torch.device) -> None:
    """What the embed stage does when it is told of a lack of memory; `tests/app/test_stage_faults.py` has its side."""
    pipeline = Pipeline.load(tiny_artifact, "cuda", precision="fp32")
    windows = _noise(64)
    expected = pipeline.embed_audio(windows)
    # Room for about a dozen windows.
    _limit(small_gpu, 12 * pipeline.plan().window.each + 64 * 1024**2)
    size = len(windows)
    with pytest.raises(DeviceMemoryError, match="out of memory"):
        pipeline.embed_audio(windows)
    parts: list[_Rows] = []
    while size > 1 and not parts:
        size //= 2
        try:
            parts = [pipeline.embed_audio(windows[start : start + size]) for start in range(0, len(windows), size)]
        except DeviceMemoryError:
            parts = []
    assert 1 < size < len(windows)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-4)


@pytest.mark.cuda
def test_the_plan_obeys_a_limit_of_the_process(tiny_artifact: Path, small_gpu: torch.device) -> None:
    _limit(small_gpu, 1024**3)
    budgets = Pipeline.load(tiny_artifact, "cuda").budgets
    assert budgets.room < 1024**3 / 2
    # Enough to measure, and less than CUDA's own share.
    _limit(small_gpu, 400 * 1024**2)
    with pytest.raises(DeviceMemoryError, match="GiB of device memory are too little"):
        Pipeline.load(tiny_artifact, "cuda")
