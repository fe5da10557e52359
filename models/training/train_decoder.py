"""train-decoder: a language model, from scratch or a released one, that writes captions for text-space embeddings.

Reads embeddings/ and bridge/model, writes decoder/model. Each row of a batch is either the noised text embedding of the
caption that is to be written (CapDec, Nukrai et al. 2022, arXiv 2211.00575: zero-shot, no audio is seen), on the side
where the bridge brings audio to, or the bridged audio embedding of its scene (supervised); the recipe says how often which.
Several processes can share it (`torchrun`, `accelerate launch`): a loss that is a sum over tokens can be divided.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from models.bridge.interface import Bridge
from models.bridge.store import load_bridge
from models.decoder.store import save_decoder
from models.errors import TrainingError
from models.hub import MODEL_SUFFIXES, fetch_source
from models.output import say_written
from models.training.build_decoder import build_decoder
from models.training.decoder_recipe import DecoderRecipe, SmallLanguageModelRecipe
from models.training.embed import EmbeddingSet, load_decoder_texts
from models.training.folders import begin_stage, fingerprint, finished, replaced
from models.training.loop import TrainingLoop
from models.training.processes import Processes, Share, joined_processes

_BRIDGED_A_PASS = 1_024
_STATISTICS_ROWS = 8_192
"""Inputs that the projector's mean and scale are measured on."""


class DecoderTrainer:
    """Batches, losses and validation of one run."""

    def __init__(
        self,
        recipe: DecoderRecipe,
        pairs: EmbeddingSet,
        texts: EmbeddingSet,
        validation: EmbeddingSet,
        bridge: Bridge,
        device: torch.device,
    ) -> None:
        """Build an untrained decoder for the captions of `pairs` and `texts`, and bridge once what is always the same.

        Of a source that the recipe's shares leave out, nothing is bridged, and no word reaches the tokenizer.
        """
        self.recipe, self.pairs, self.texts, self.validation, self.device = recipe, pairs, texts, validation, device
        self.bridge = bridge
        hears, reads = recipe.inputs.bridged > 0, recipe.inputs.text > 0
        self.bridged = _bridge_all(bridge, pairs.audio, device) if hears else pairs.audio[:0]
        self.bridged_validation = _bridge_all(bridge, validation.audio, device)
        with torch.no_grad():
            self.told_validation = bridge.text_side(validation.text.to(device)).cpu()
        written = [*(pairs.captions if hears else []), *(texts.captions if reads else [])]
        self.decoder = build_decoder(recipe, pairs.dim, written)
        generator = torch.Generator().manual_seed(recipe.loop.seed)
        rows, _ = self.draw(_STATISTICS_ROWS, generator)
        self.decoder.projector.fit_statistics(rows)
        self.decoder.to(device)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "rows dim"], list[str]]:
        """Random inputs, and the caption that is to be written for each.

        Text comes from the encoder's own scenes: they hold every sound, also those with no recording left for the bridge.
        """
        share = self.recipe.inputs.bridged_share
        if share == 1:
            return self._draw_heard(count, generator)
        if share == 0:
            return self._draw_told(count, generator)
        bridged, captions = self._draw_heard(count, generator)
        told, told_captions = self._draw_told(count, generator)
        heard = torch.rand(count, 1, generator=generator) < share
        choices = zip(heard.squeeze(1).tolist(), captions, told_captions, strict=True)
        return torch.where(heard, bridged, told), [one if is_heard else other for is_heard, one, other in choices]

    def _draw_heard(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "rows dim"], list[str]]:
        """Bridged audio embeddings of random scenes, each with a random caption of its scene."""
        scenes = torch.randint(len(self.pairs.audio), (count,), generator=generator)
        rows = self.pairs.draw_captions(scenes, generator).tolist()
        return self.bridged[scenes], [self.pairs.captions[row] for row in rows]

    def _draw_told(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "rows dim"], list[str]]:
        """Noised text embeddings of random captions."""
        scenes = torch.randint(len(self.texts.offsets) - 1, (count,), generator=generator)
        rows = self.texts.draw_captions(scenes, generator)
        text = self.texts.text[rows]
        noise = torch.randn(text.shape, generator=generator).to(self.device)
        # The loop computes in the precision of the recipe, a bridge in float32 wherever it is used.
        with torch.autocast(self.device.type, enabled=False):
            told = self.bridge.noised_text_side(text.to(self.device), noise, self.recipe.noise_variance).cpu()
        return told, [self.texts.captions[row] for row in rows.tolist()]

    def batch_loss(self, generator: torch.Generator, step: int, share: Share) -> Mapping[str, Tensor]:
        """Loss of a share of random inputs: the sum over its tokens, divided by the number of the whole batch's."""
        embeddings, captions = self.draw(self.recipe.batch_size, generator)
        tokens = None if share.count == 1 else self.decoder.count_target_tokens(captions)
        embeddings, captions = embeddings[share.rows], captions[share.rows]
        return {"loss": self.decoder.loss(embeddings.to(self.device), captions, num_tokens=tokens)}

    def evaluate(self) -> Mapping[str, float]:
        """Loss of the first captions of unseen scenes: given their own text embeddings, and given the bridged audio."""
        return {
            "validation_loss_text": self._validation_loss(self.told_validation),
            "validation_loss_bridged": self._validation_loss(self.bridged_validation),
        }

    def _validation_loss(self, embeddings: Float[Tensor, "scenes dim"]) -> float:
        # No more rows at once than in training: memory was made to last for them.
        total, size = 0.0, max(1, self.recipe.batch_size // self.recipe.loop.accumulation)
        tokens = self.decoder.count_target_tokens(self.validation.captions)
        for start in range(0, len(embeddings), size):
            rows = slice(start, start + size)
            part = embeddings[rows].to(self.device)
            total += self.decoder.loss(part, self.validation.captions[rows], num_tokens=tokens).item()
        return total


def train_decoder(recipe: DecoderRecipe, work: Path, device: str, *, resume: bool) -> None:
    """Train in work/decoder, and leave the decoder in work/decoder/model.

    Raises:
        TrainingError: the embeddings or the bridge are not there or of another encoder, or the run to be resumed is
            another one.
        DeviceError: there is no such device.
    """
    with joined_processes(device) as processes:
        pairs, texts = EmbeddingSet.load(work, "bridge"), load_decoder_texts(work)
        validation = EmbeddingSet.load(work, "validation").first(recipe.validation_scenes)
        bridge_directory = finished(work, "bridge/model")
        bridge = load_bridge(bridge_directory, processes.device)
        if bridge.dim != pairs.dim:
            raise TrainingError(f"{bridge_directory} takes embeddings of width {bridge.dim}, embeddings/ has {pairs.dim}")
        made_from = {**pairs.source, "texts": texts.source["scenes"], "bridge": fingerprint(bridge_directory.iterdir())}
        data = pairs, texts, validation, bridge, processes.device
        make_decoder(recipe, work / "decoder", made_from, *data, processes, resume=resume)
        if processes.is_main:
            say_written(work / "decoder" / "model")


def make_decoder(
    recipe: DecoderRecipe,
    directory: Path,
    made_from: Mapping[str, str],
    pairs: EmbeddingSet,
    texts: EmbeddingSet,
    validation: EmbeddingSet,
    bridge: Bridge,
    device: torch.device,
    processes: Processes | None = None,
    *,
    resume: bool,
    name: str = "train-decoder",
) -> None:
    """Train in `directory`, and leave the decoder in its folder model; with `resume`, a finished one is left there.

    `made_from` tells what the decoder is made from apart from others: fingerprints, by what they are of. The content of a
    released language model is added to it here. Without `processes`, this one trains alone.

    Raises:
        TrainingError: the folder holds an earlier run that is not to be resumed, or another one, or a batch has fewer rows
            than it is to be divided into.
        SourceError: the released language model cannot be had, or is not one that can be used.
        RecipeError: the recipe asks of it what it does not have.
    """
    processes = processes or Processes(device)
    if (shares := processes.count * recipe.loop.accumulation) > recipe.batch_size:
        raise TrainingError(f"{name}: a batch of {recipe.batch_size} cannot be divided into {shares} shares")
    if processes.is_main:
        settings = {"recipe": recipe.model_dump(mode="json"), **made_from, **_released(recipe)}
        begin_stage(directory, settings, resume=resume)
    processes.wait()
    if resume and (directory / "model").is_dir():
        return
    trainer = DecoderTrainer(recipe, pairs, texts, validation, bridge, device)
    loop = TrainingLoop(name, recipe.loop, trainer.decoder, directory, processes)
    loop.run(trainer.batch_loss, trainer.evaluate, resume=resume)
    if processes.is_main:
        with replaced(directory / "model") as new:
            save_decoder(trainer.decoder, new)
    processes.wait()


def _released(recipe: DecoderRecipe) -> dict[str, str]:
    """Fingerprint of a released language model's files, whose content a folder's name does not tell."""
    model = recipe.language_model
    if isinstance(model, SmallLanguageModelRecipe):
        return {}
    files = fetch_source(model.source, model.revision).folder.iterdir()
    return {"language_model": fingerprint(path for path in files if path.suffix in MODEL_SUFFIXES)}


@torch.no_grad()
def _bridge_all(bridge: Bridge, audio: Float[Tensor, "scenes dim"], device: torch.device) -> Float[Tensor, "scenes dim"]:
    """Bridge every scene, each with a seed of its own."""
    ends = [*range(0, len(audio), _BRIDGED_A_PASS), len(audio)]
    return torch.cat([bridge(audio[start:end].to(device), range(start, end)).cpu() for start, end in pairwise(ends)])
