"""The memory plan: what it foresees is what larger batches take, and batches of that size fit."""

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from models.audio import WINDOW_SAMPLES
from models.budgets import USUAL_TOKENS, Cost
from models.decoder.captioner import CaptionDecoder
from models.device import available_bytes
from models.errors import DeviceMemoryError
from models.live_memory import peak_bytes
from models.networks import Networks, load_networks
from models.pipeline import Pipeline
from models.plan import MemoryPlan, cache_bytes, measure_memory

_CPU = torch.device("cpu")
_GIB = 1024**3


@pytest.fixture(scope="module")
def networks(tiny_artifact: Path) -> Networks:
    return load_networks(tiny_artifact, _CPU, torch.float32)


@pytest.fixture(scope="module")
def plan(networks: Networks) -> MemoryPlan:
    return measure_memory(networks)


def test_weights_are_counted(networks: Networks, plan: MemoryPlan) -> None:
    assert plan.encoder.parameters == networks.describe()["encoder"]["parameters"]
    assert plan.bridge.weight_bytes >= 4 * plan.bridge.parameters, "the rest are statistics"
    assert plan.weight_bytes == plan.encoder.weight_bytes + plan.bridge.weight_bytes + plan.decoder.weight_bytes


def test_a_larger_batch_takes_what_was_foreseen(networks: Networks, plan: MemoryPlan) -> None:
    clap, bridge, decoder = networks.clap, networks.bridge, networks.decoder
    text = "a dog barks " * clap.max_text_tokens
    beams = decoder.config.num_beams
    batches = {
        "window": lambda count: clap.embed_audio(torch.rand(count, WINDOW_SAMPLES) - 0.5),
        "text": lambda count: clap.embed_texts([text] * count),
        "embedding": lambda count: bridge(torch.rand(count, bridge.dim), range(count)),
    }
    for name, run in batches.items():
        cost: Cost = getattr(plan, name)
        assert peak_bytes(lambda run=run: run(10), _CPU) == pytest.approx(cost.fixed + 10 * cost.each, rel=0.05), name
    rows = torch.rand(10, decoder.dim)
    taken = peak_bytes(lambda: decoder.generate(rows, seeds=range(10), candidates=1 + beams, max_new_tokens=1), _CPU)
    foreseen = plan.writing.caption(1 + beams, 0)
    assert taken == pytest.approx(foreseen.fixed + 10 * foreseen.each, rel=0.1)


def _llama() -> PreTrainedModel:
    """Heads share keys and values, two to one, and have another width than the model divided by their number."""
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        max_position_embeddings=128,
    )
    return LlamaForCausalLM(config).eval()


def _bart() -> PreTrainedModel:
    """An encoder that is larger than its decoder."""
    config = BartConfig(
        vocab_size=300,
        d_model=32,
        encoder_layers=5,
        encoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        max_position_embeddings=128,
    )
    return BartForConditionalGeneration(config).eval()


def _cached_bytes(cache: object) -> int:
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cache_of_a_language_model_is_as_computed(dtype: torch.dtype) -> None:
    model = _llama().to(dtype)
    cache = model(input_ids=torch.ones(3, 7, dtype=torch.int64), use_cache=True).past_key_values
    # One layer of three is counted twice.
    assert cache_bytes(model) * 3 * 7 == pytest.approx(_cached_bytes(cache) * 4 / 3)


def test_the_cache_of_an_encoder_decoder_is_its_decoder_s() -> None:
    model = _bart()
    made = model(input_ids=torch.ones(3, 9, dtype=torch.int64), decoder_input_ids=torch.ones(3, 7, dtype=torch.int64))
    cache = made.past_key_values.self_attention_cache
    assert cache_bytes(model) * 3 * 7 == pytest.approx(_cached_bytes(cache) * 3 / 2)


def test_tokens_and_candidates_take_no_more_than_is_planned(networks: Networks, plan: MemoryPlan) -> None:
    """Full captions, whose caches grow and are reordered at every token; the plan is for captions that use all tokens."""
    decoder = _never_ending(networks.decoder)
    rows, seeds = torch.rand(3, decoder.dim), range(3)
    for candidates, tokens in ((1, 12), (6, 6)):
        run = {"seeds": seeds, "candidates": candidates, "max_new_tokens": tokens}
        taken = peak_bytes(lambda run=run: decoder.generate(rows, **run), _CPU)
        planned = plan.writing.caption(candidates, tokens)
        share = taken / (planned.fixed + 3 * planned.each)
        assert 0.5 < share < 1.02, (candidates, tokens)


def _never_ending(decoder: CaptionDecoder) -> CaptionDecoder:
    """The same decoder, which never writes EOS."""
    other = CaptionDecoder(decoder.config, decoder.language_model, decoder.tokenizer)
    never = torch.cat([decoder.rules.never, torch.tensor([decoder.rules.eos])])
    other.rules = dataclasses.replace(decoder.rules, never=never)
    return other.eval()


def test_budgets_grow_with_memory_up_to_a_ceiling(plan: MemoryPlan) -> None:
    sizes = [_GIB // 8 * eighths for eighths in (5, 6, 8, 192)]
    found = [plan.budgets(size) for size in sizes]
    for name in ("windows", "texts", "captions", "tokens"):
        values = [getattr(budgets, name) for budgets in found]
        assert values == sorted(values), name
    largest = found[-1]
    assert (largest.windows, largest.texts, largest.captions, largest.tokens) == (64, 256, 256, 256 * USUAL_TOKENS)
    assert found[0].windows < 64


def test_batches_of_the_budget_fit_beside_the_weights(plan: MemoryPlan) -> None:
    memory = 5 * _GIB // 8
    budgets = plan.budgets(memory)
    windows = plan.window.fixed + budgets.windows * plan.window.each
    caption = plan.writing.caption(8, 64)
    captions = caption.fixed + budgets.captions_at_once(8, 64) * caption.each
    assert plan.weight_bytes + windows + captions <= memory
    assert windows > 0.5 * budgets.room, "and are not much smaller than they could be"


@pytest.mark.parametrize("memory", [0, 1, _GIB // 2])
def test_what_does_not_fit_is_refused_with_its_figures(plan: MemoryPlan, memory: int) -> None:
    with pytest.raises(DeviceMemoryError, match=r"GiB of device memory are too little: the weights take 0\.0") as refused:
        plan.budgets(memory)
    assert f"{memory / _GIB:.2f} GiB" in str(refused.value)


def test_one_window_must_fit_beside_large_weights(plan: MemoryPlan) -> None:
    large = dataclasses.replace(plan, decoder=dataclasses.replace(plan.decoder, weight_bytes=9 * _GIB))
    with pytest.raises(DeviceMemoryError, match=r"10\.00 GiB of device memory are too little: the weights take 9\.0"):
        large.budgets(10 * _GIB)
    assert large.budgets(24 * _GIB).windows == 64


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_takes_what_is_planned(tiny_artifact: Path, precision: str) -> None:
    device = torch.device("cuda", 0)
    pipeline = Pipeline.load(tiny_artifact, "cuda", precision=precision)
    plan, networks = pipeline.plan(), pipeline._networks
    assert pipeline.budgets.windows == plan.budgets(available_bytes(device)).windows
    count = 32
    taken = peak_bytes(lambda: networks.clap.embed_audio(torch.rand(count, WINDOW_SAMPLES, device=device)), device)
    assert taken == pytest.approx(plan.window.fixed + count * plan.window.each, rel=0.15)
    rows = torch.rand(count, networks.decoder.dim, device=device)
    run = {"seeds": range(count), "candidates": 3, "max_new_tokens": 20}
    planned = plan.writing.caption(3, 20)
    assert peak_bytes(lambda: networks.decoder.generate(rows, **run), device) < 1.1 * (planned.fixed + count * planned.each)
