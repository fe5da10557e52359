"""The untrained caption decoder that a recipe asks for: around a language model from scratch, or around a released one."""

from collections.abc import Iterable

import torch

from models.decoder.adapter import add_lora
from models.decoder.captioner import CaptionDecoder, DecoderConfig
from models.decoder.language_model import AnyLanguageModel
from models.decoder.prompt import render_prompt
from models.decoder.reference import LanguageModelReference
from models.decoder.small import build_small_language_model
from models.decoder.tokenizer import train_tokenizer
from models.errors import ArtifactError, RecipeError, SourceError
from models.hub import fetch_source
from models.precision import DTYPES
from models.pretrained import read_pretrained
from models.training.decoder_recipe import DecoderRecipe, PretrainedLanguageModelRecipe, SmallLanguageModelRecipe


def build_decoder(recipe: DecoderRecipe, dim: int, captions: Iterable[str]) -> CaptionDecoder:
    """Build a decoder for embeddings of width `dim`, its untrained weights drawn from the recipe's seed.

    Only what learns asks for gradients. `captions` teach a tokenizer that is trained with its model.

    Raises:
        SourceError: the released language model cannot be had, or is not one that can be used.
        RecipeError: the recipe asks of it what it does not have.
    """
    match recipe.language_model:
        case SmallLanguageModelRecipe() as small:
            tokenizer = train_tokenizer(captions, recipe.vocab_size)
            torch.manual_seed(recipe.loop.seed)
            model = build_small_language_model(tokenizer, **small.model_dump(exclude={"kind"}))
            return CaptionDecoder(_config(recipe, dim), model, tokenizer)
        case PretrainedLanguageModelRecipe() as pretrained:
            return _build_pretrained(recipe, pretrained, dim)


def _build_pretrained(recipe: DecoderRecipe, settings: PretrainedLanguageModelRecipe, dim: int) -> CaptionDecoder:
    source = fetch_source(settings.source, settings.revision)
    # Weights that learn are float32, or small steps would be lost; those that stay need no more than is computed with.
    dtype = torch.float32 if settings.tuning == "full" else DTYPES[recipe.loop.precision]
    try:
        model, tokenizer = read_pretrained(source.folder, AnyLanguageModel, dtype)
    except ArtifactError as error:
        raise SourceError(str(error)) from error
    torch.manual_seed(recipe.loop.seed)
    try:
        closed = model.config.is_encoder_decoder
        prompt = render_prompt(tokenizer, settings.prompt, chat=settings.chat, closed=closed)
        if settings.tuning == "lora":
            add_lora(model, settings.lora)
        elif settings.tuning == "frozen":
            model.requires_grad_(False)
        decoder = CaptionDecoder(_config(recipe, dim, *prompt), model, tokenizer)
    except ValueError as error:
        raise RecipeError(f"decoder.language_model: {settings.source}: {error}") from error
    if settings.tuning != "full":
        decoder.reference = LanguageModelReference.of(source, adapted=settings.tuning == "lora")
    return decoder


def _config(recipe: DecoderRecipe, dim: int, before: str = "", after: str = "") -> DecoderConfig:
    return DecoderConfig(
        dim=dim,
        prefix_length=recipe.prefix_length,
        projector_dim=recipe.projector_dim,
        prompt_before=before,
        prompt_after=after,
        **recipe.generation.model_dump(),
    )
