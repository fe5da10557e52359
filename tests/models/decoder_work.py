"""A work directory as the stages before train-decoder leave it, and recipes of decoders that train in a moment."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from models.clap.encoder import ClapEncoder
from models.training.bridge_recipe import BridgeRecipe
from models.training.decoder_recipe import DecoderRecipe
from models.training.embed import EmbedRecipe, embed
from models.training.train_bridge import train_bridge
from tests.models.training_work import write_clap, write_corpus

SMALL: dict[str, Any] = {
    "language_model": {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "max_positions": 24},
    "vocab_size": 300,
    "prefix_length": 2,
    "projector_dim": 32,
    "batch_size": 16,
    "loop": {"steps": 12, "learning_rate": 1e-2, "warmup_steps": 2, "checkpoint_every": 4, "evaluate_every": 6},
}


def small_recipe(**settings: Any) -> DecoderRecipe:
    """A decoder trained from scratch."""
    return DecoderRecipe.model_validate(SMALL | settings)


def write_decoder_work(work: Path, encoder: ClapEncoder) -> Path:
    """Corpus, encoder, embeddings, and a bridge in closed form."""
    write_corpus(work)
    write_clap(work, encoder)
    embed(EmbedRecipe(), work, "cpu", resume=False)
    train_bridge(TypeAdapter(BridgeRecipe).validate_python({"kind": "mean-shift"}), work, "cpu", resume=False)
    return work
