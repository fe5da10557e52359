"""train-clap: a small CLAP from scratch on the encoder part of the corpus; reads corpus/, writes clap/.

Three losses over one batch: contrastive between scenes and captions, with soft targets for scenes of the same sounds
(without them the many scenes of one sound would push each other away); naming, which sets a scene against a phrase of
every sound; and a tagging head on the audio tower, without which contrastive learning from scratch hardly begins. The head
is thrown away afterwards. The temperature is fixed or learned: fixed at 1/100 from the first step, it makes the modality
gap of released encoders; learned from a warm start, it leaves hardly any.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from models.clap.encoder import ClapEncoder
from models.clap.small import SmallClapConfig, build_small_clap
from models.clap.store import save_clap
from models.clap.tokenizer import train_clap_tokenizer
from models.device import resolve_device
from models.evaluation.hearing import class_embeddings, name_sounds
from models.training.bank import Sound
from models.training.folders import replaced
from models.training.loop import LoopSettings, TrainingLoop, refuse_division
from models.training.processes import Share
from models.training.scenes import SceneSet
from models.training.spectrogram_augment import SpectrogramAugmentSettings, augment_log_mel

_MAX_SCALE = 100.0


class ClapRecipe(BaseModel):
    """Settings of train-clap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: SmallClapConfig = SmallClapConfig()
    vocab_size: PositiveInt = 1_500
    loop: LoopSettings
    batch_size: PositiveInt = 64
    singles_first_steps: NonNegativeInt = 0
    """Steps at the beginning that see scenes of one sound only."""
    contrastive_weight: NonNegativeFloat = 1.0
    naming_weight: NonNegativeFloat = 1.0
    tagging_weight: NonNegativeFloat = 1.0
    learn_temperature: bool = False
    """Learn it from that of `model`, which is the beginning then."""
    augment: SpectrogramAugmentSettings = SpectrogramAugmentSettings()
    validation_scenes: PositiveInt = 400
    """Scenes of one sound that measure progress."""


class _Student(nn.Module):
    """The encoder and the tagging head that it learns with."""

    def __init__(self, encoder: ClapEncoder, num_sounds: int, *, learn_temperature: bool) -> None:
        super().__init__()
        encoder.model.logit_scale_a.requires_grad_(learn_temperature)
        self.encoder = encoder
        self.tagging = nn.Linear(encoder.pooled_dim, num_sounds)

    @property
    def scale(self) -> Float[Tensor, ""]:
        """1 / temperature, at most 100 (Radford et al. 2021, arXiv 2103.00020, section 2.5)."""
        return self.encoder.model.logit_scale_a.exp().clamp(max=_MAX_SCALE)

    def forward(
        self, log_mel: Float[Tensor, "batch frames mels"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch sounds"]]:
        """Unit audio embeddings and tag logits."""
        model = self.encoder.model
        pooled = model.audio_model(input_features=log_mel.unsqueeze(1)).pooler_output
        embeddings = functional.normalize(model.audio_projection(pooled).float(), dim=1)
        tags: Tensor = self.tagging(pooled)
        return embeddings, tags.float()


class ClapTrainer:
    """Batches, losses and validation of one train-clap run."""

    def __init__(self, recipe: ClapRecipe, sounds: Sequence[Sound], corpus: Path, device: torch.device) -> None:
        """Read the corpus and build an untrained student."""
        self.recipe = recipe
        self.device = device
        self.sounds = sounds
        self.number = {sound.name: index for index, sound in enumerate(sounds)}
        self.scenes = SceneSet.load(corpus, "encoder")
        self.validation = SceneSet.load(corpus, "validation")
        self.labels = self._labels(self.scenes)
        self.singles = _rows_of_one_sound(self.scenes)
        self.validation_singles = _rows_of_one_sound(self.validation)[: recipe.validation_scenes]
        captions = (caption for record in self.scenes.records for caption in record.captions)
        phrases = (phrase for sound in sounds for phrase in sound.phrases)
        tokenizer = train_clap_tokenizer([*phrases, *captions], recipe.vocab_size)
        torch.manual_seed(recipe.loop.seed)
        encoder = build_small_clap(recipe.model, tokenizer)
        self.student = _Student(encoder, len(sounds), learn_temperature=recipe.learn_temperature).to(device)

    def batch_loss(self, generator: torch.Generator, step: int, share: Share) -> Mapping[str, Tensor]:
        """Losses of a random batch."""
        recipe, everything = self.recipe, np.arange(len(self.scenes.records))
        pool = self.singles if step < recipe.singles_first_steps and len(self.singles) else everything
        # In order, since the file is read from the disk.
        rows = np.sort(pool[torch.randint(len(pool), (recipe.batch_size,), generator=generator).numpy()])
        log_mel = augment_log_mel(torch.from_numpy(self.scenes.log_mel[rows]).float(), recipe.augment, generator)
        captions = [_pick(self.scenes.records[row].captions, generator) for row in rows]
        phrases = [_pick(sound.phrases, generator) for sound in self.sounds]
        labels = self.labels[rows].to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            audio, tags = self.student(log_mel.to(self.device))
            texts = self.student.encoder.embed_texts([*captions, *phrases])
        text, names = texts[: len(rows)], texts[len(rows) :]
        scale = self.student.scale
        contrastive = _contrastive(scale * audio @ text.T, labels)
        naming = functional.cross_entropy(scale * audio @ names.T, labels)
        tagging = functional.cross_entropy(tags, labels)
        loss = recipe.contrastive_weight * contrastive + recipe.naming_weight * naming + recipe.tagging_weight * tagging
        return {"loss": loss, "contrastive": contrastive, "naming": naming, "tagging": tagging}

    def evaluate(self) -> Mapping[str, float]:
        """Top-1 and top-5 accuracy of naming unseen recordings of one sound, and the gap between the modalities."""
        singles = self.validation_singles
        encoder = self.student.encoder
        phrases = {sound.name: sound.phrases for sound in self.sounds}
        names = class_embeddings(phrases, lambda texts: encoder.embed_texts(texts).cpu().numpy())
        with torch.autocast(self.device.type, torch.bfloat16):
            audio = torch.cat(
                [
                    encoder.embed_log_mel(torch.from_numpy(self.validation.log_mel[rows]).float())
                    for rows in np.array_split(singles, max(1, len(singles) // 64))
                ]
            )
        heard = audio.cpu().numpy()
        truths = [self.validation.records[row].sounds[0] for row in singles]
        paired = names[[self.number[truth] for truth in truths]]
        scores, _ = name_sounds(heard, names, list(phrases), truths)
        return {
            "top1": scores.top_1,
            "top5": scores.top_5,
            "paired_cosine": float((heard * paired).sum(axis=1).mean()),
            "temperature": 1 / self.student.scale.item(),
            "centroid_distance": float(np.linalg.norm(heard.mean(axis=0) - paired.mean(axis=0))),
        }

    def _labels(self, scenes: SceneSet) -> Float[Tensor, "scenes sounds"]:
        """Each scene's sounds as a distribution."""
        labels = torch.zeros(len(scenes.records), len(self.sounds))
        for row, record in enumerate(scenes.records):
            labels[row, [self.number[sound] for sound in record.sounds]] = 1
        return labels / labels.sum(dim=1, keepdim=True)


def train_clap(recipe: ClapRecipe, sounds: Sequence[Sound], work: Path, device: str, *, resume: bool) -> None:
    """Train in work/clap, and leave the encoder in work/clap/model.

    Raises:
        TrainingError: the corpus is not there, the loss is no finite number, or batches are to be divided.
        DeviceError: there is no such device.
    """
    refuse_division("train-clap", recipe.loop)
    trainer = ClapTrainer(recipe, sounds, work / "corpus", resolve_device(device))
    loop = TrainingLoop("train-clap", recipe.loop, trainer.student, work / "clap")
    loop.run(trainer.batch_loss, trainer.evaluate, resume=resume)
    with torch.no_grad():
        model = trainer.student.encoder.model
        model.logit_scale_t.copy_(model.logit_scale_a)
    with replaced(work / "clap" / "model") as new:
        save_clap(trainer.student.encoder, new)


def _rows_of_one_sound(scenes: SceneSet) -> Int[np.ndarray, " rows"]:
    return np.flatnonzero([len(record.sounds) == 1 for record in scenes.records])


def _contrastive(logits: Float[Tensor, "batch batch"], labels: Float[Tensor, "batch sounds"]) -> Float[Tensor, ""]:
    """Symmetric cross entropy (Wu et al. 2023, eq. 1) whose targets are shared by all rows of the same sounds."""
    same = (torch.cdist(labels, labels, p=1) < 1e-4).float()
    targets = same / same.sum(dim=1, keepdim=True)
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2


def _pick(options: Sequence[str], generator: torch.Generator) -> str:
    return options[int(torch.randint(len(options), (), generator=generator))]
