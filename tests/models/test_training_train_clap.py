"""train-clap: learns to name sounds that can be told apart, and leaves an encoder that can be loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.clap.small import SmallClapConfig
from models.clap.store import load_clap
from models.errors import TrainingError
from models.training.bank import Sound
from models.training.loop import LoopSettings
from models.training.spectrogram_augment import SpectrogramAugmentSettings
from models.training.train_clap import ClapRecipe, train_clap

_SOUNDS = [
    Sound(name=name, kind="thing", phrases=(f"{name} is heard", f"the {name} sounds"))
    for name in ("bell", "drum", "flute", "horn")
]
_RECIPE = ClapRecipe(
    model=SmallClapConfig(dim=32, channels=(16, 32), text_dim=32, text_layers=1, text_heads=2, dropout=0.0),
    vocab_size=300,
    batch_size=16,
    singles_first_steps=40,
    loop=LoopSettings(steps=80, learning_rate=3e-3, warmup_steps=20, evaluate_every=40, checkpoint_every=80),
    augment=SpectrogramAugmentSettings(time_mask_frames=0, mel_mask_bands=0),
)


def _pattern(number: int) -> np.ndarray:
    """What each sound adds in dB: steady, striped over frequency, in short pulses, in long pulses."""
    frames, mels = np.arange(1001)[:, None], np.arange(64)[None]
    loud = [frames >= 0, (frames >= 0) & (mels % 8 < 4), (frames % 40 < 10) & (mels >= 0), (frames % 300 < 60) & (mels > 30)]
    return 50.0 * np.broadcast_to(loud[number], (1001, 64))


def _write_corpus(corpus: Path) -> None:
    """Every sixth scene holds two of the sounds."""
    rng = np.random.default_rng(0)
    for split, size in (("encoder", 48), ("validation", 16)):
        (corpus / split).mkdir(parents=True)
        log_mel = rng.normal(-70, 3, size=(size, 1001, 64))
        with (corpus / split / "scenes.jsonl").open("w", encoding="utf-8") as file:
            for row in range(size):
                numbers = [row % 4, (row + 1) % 4] if row % 6 == 5 else [row % 4]
                for number in numbers:
                    log_mel[row] = np.maximum(log_mel[row], _pattern(number) - 70)
                sounds = [_SOUNDS[number] for number in numbers]
                captions = [" and ".join(sound.phrases[i] for sound in sounds) for i in (0, 1)]
                names = [sound.name for sound in sounds]
                line = {"id": f"{row}", "sounds": names, "layout": "single", "captions": captions}
                file.write(json.dumps(line) + "\n")
        np.save(corpus / split / "log_mel.npy", log_mel.astype(np.float16))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    _write_corpus(folder / "corpus")
    train_clap(_RECIPE, _SOUNDS, folder, "cpu", resume=False)
    return folder


def test_it_learns_to_name_sounds(work: Path) -> None:
    lines = [json.loads(line) for line in (work / "clap" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    measures = [line for line in lines if "top1" in line]
    assert [line["step"] for line in measures] == [40, 80]
    assert measures[-1]["top1"] >= 0.9
    assert measures[-1]["top5"] == 1.0
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]


def test_the_encoder_can_be_loaded_and_hears(work: Path) -> None:
    encoder = load_clap(work / "clap" / "model")
    log_mel = torch.from_numpy(np.stack([_pattern(number) - 70 for number in range(4)])).float()
    names = encoder.embed_texts([sound.phrases[0] for sound in _SOUNDS])
    assert (encoder.embed_log_mel(log_mel) @ names.T).argmax(dim=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("setting", [{"accumulation": 2}, {"precision": "bf16"}])
def test_a_batch_is_neither_divided_nor_rounded_otherwise(tmp_path: Path, setting: dict[str, Any]) -> None:
    recipe = _RECIPE.model_copy(update={"loop": _RECIPE.loop.model_copy(update=setting)})
    with pytest.raises(TrainingError, match=f"train-clap .*{next(iter(setting))}"):
        train_clap(recipe, _SOUNDS, tmp_path, "cpu", resume=False)


def _temperatures(directory: Path) -> tuple[float, float]:
    model = load_clap(directory / "model").model
    return float((-model.logit_scale_a).exp()), float((-model.logit_scale_t).exp())


def test_the_temperature_stays_where_it_is_not_learned(work: Path) -> None:
    assert _temperatures(work / "clap") == pytest.approx((0.01, 0.01))


def test_the_temperature_is_learned_where_the_recipe_says_so(work: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").symlink_to(work / "corpus")
    model = _RECIPE.model.model_copy(update={"temperature": 0.07})
    loop = _RECIPE.loop.model_copy(update={"steps": 20})
    recipe = _RECIPE.model_copy(update={"model": model, "loop": loop, "learn_temperature": True})
    train_clap(recipe, _SOUNDS, tmp_path, "cpu", resume=False)
    audio, text = _temperatures(tmp_path / "clap")
    assert audio == text
    assert abs(audio - 0.07) > 1e-4
    (line,) = (json.loads(line) for line in (tmp_path / "clap" / "log.jsonl").read_text().splitlines() if "top1" in line)
    assert line["temperature"] == pytest.approx(audio, abs=1e-4)
