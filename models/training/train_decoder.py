"""train-decoder: a small language model from scratch that writes captions for text-space embeddings.

Reads embeddings/ and bridge/model, writes decoder/model. Each row of a batch is either the noised text embedding of the
caption that is to be written (CapDec, Nukrai et al. 2022, arXiv 2211.00575: zero-shot, no audio is seen), on the side
where the bridge brings audio to, or the bridged audio embedding of its scene (supervised); the recipe says how often which.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from models.bridge.interface import Bridge
from models.bridge.store import load_bridge
from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.small import build_small_language_model
from models.decoder.store import save_decoder
from models.decoder.tokenizer import train_tokenizer
from models.device import resolve_device
from models.errors import TrainingError
from models.training.decoder_recipe import DecoderRecipe
from models.training.embed import EmbeddingSet
from models.training.folders import begin_stage, fingerprint, finished, replaced
from models.training.loop import TrainingLoop

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
        """Build an untrained decoder for the captions of `pairs` and `texts`, and bridge all scenes of `pairs` once.

        Of a source that the recipe's shares leave out, nothing is bridged, and no word reaches the tokenizer.
        """
        self.recipe, self.pairs, self.texts, self.validation, self.device = recipe, pairs, texts, validation, device
        self.bridge = bridge
        hears, reads = recipe.inputs.bridged > 0, recipe.inputs.text > 0
        self.bridged = _bridge_all(bridge, pairs.audio, device) if hears else pairs.audio[:0]
        self.bridged_validation = _bridge_all(bridge, validation.audio, device)
        written = [*(pairs.captions if hears else []), *(texts.captions if reads else [])]
        tokenizer = train_tokenizer(written, recipe.vocab_size)
        torch.manual_seed(recipe.loop.seed)
        config = DecoderConfig(
            dim=pairs.dim,
            prefix_length=recipe.prefix_length,
            projector_dim=recipe.projector_dim,
            **recipe.generation.model_dump(),
        )
        language_model = build_small_language_model(tokenizer, **recipe.language_model.model_dump())
        self.decoder = CaptionDecoder(config, language_model, tokenizer)
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
        told = self.bridge.noised_text_side(text.to(self.device), noise, self.recipe.noise_variance).cpu()
        return told, [self.texts.captions[row] for row in rows.tolist()]

    def batch_loss(self, generator: torch.Generator, step: int) -> Mapping[str, Tensor]:
        """Loss of random inputs."""
        embeddings, captions = self.draw(self.recipe.batch_size, generator)
        return {"loss": self.decoder.loss(embeddings.to(self.device), captions)}

    def evaluate(self) -> Mapping[str, float]:
        """Loss of the first captions of unseen scenes: given their own text embeddings, and given the bridged audio."""
        return {
            "validation_loss_text": self._validation_loss(self.bridge.text_side(self.validation.text.to(self.device))),
            "validation_loss_bridged": self._validation_loss(self.bridged_validation),
        }

    def _validation_loss(self, embeddings: Float[Tensor, "scenes dim"]) -> float:
        total, size = 0.0, self.recipe.batch_size
        for start in range(0, len(embeddings), size):
            texts = self.validation.captions[start : start + size]
            total += self.decoder.loss(embeddings[start : start + size].to(self.device), texts).item() * len(texts)
        return total / len(embeddings)


def train_decoder(recipe: DecoderRecipe, work: Path, device: str, *, resume: bool) -> None:
    """Train in work/decoder, and leave the decoder in work/decoder/model.

    Raises:
        TrainingError: the embeddings or the bridge are not there or of another encoder, or the run to be resumed is
            another one.
        DeviceError: there is no such device.
    """
    torch_device = resolve_device(device)
    pairs, texts = EmbeddingSet.load(work, "bridge"), EmbeddingSet.load(work, "encoder")
    validation = EmbeddingSet.load(work, "validation").first(recipe.validation_scenes)
    bridge_directory = finished(work, "bridge/model")
    bridge = load_bridge(bridge_directory, torch_device)
    if bridge.dim != pairs.dim:
        raise TrainingError(f"{bridge_directory} takes embeddings of width {bridge.dim}, embeddings/ has {pairs.dim}")
    made_from = {**pairs.source, "texts": texts.source["scenes"], "bridge": fingerprint(bridge_directory.iterdir())}
    make_decoder(recipe, work / "decoder", made_from, pairs, texts, validation, bridge, torch_device, resume=resume)


def make_decoder(
    recipe: DecoderRecipe,
    directory: Path,
    made_from: Mapping[str, str],
    pairs: EmbeddingSet,
    texts: EmbeddingSet,
    validation: EmbeddingSet,
    bridge: Bridge,
    device: torch.device,
    *,
    resume: bool,
    name: str = "train-decoder",
) -> None:
    """Train in `directory`, and leave the decoder in its folder model; with `resume`, a finished one is left there.

    `made_from` tells what the decoder is made from apart from others: fingerprints, by what they are of.

    Raises:
        TrainingError: the folder holds an earlier run that is not to be resumed, or another one.
    """
    begin_stage(directory, {"recipe": recipe.model_dump(mode="json"), **made_from}, resume=resume)
    if resume and (directory / "model").is_dir():
        return
    trainer = DecoderTrainer(recipe, pairs, texts, validation, bridge, device)
    loop = TrainingLoop(name, recipe.loop, trainer.decoder, directory)
    loop.run(trainer.batch_loss, trainer.evaluate, resume=resume)
    with replaced(directory / "model") as new:
        save_decoder(trainer.decoder, new)


@torch.no_grad()
def _bridge_all(bridge: Bridge, audio: Float[Tensor, "scenes dim"], device: torch.device) -> Float[Tensor, "scenes dim"]:
    """Bridge every scene, each with a seed of its own."""
    ends = [*range(0, len(audio), _BRIDGED_A_PASS), len(audio)]
    return torch.cat([bridge(audio[start:end].to(device), range(start, end)).cpu() for start, end in pairwise(ends)])
