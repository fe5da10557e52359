"""A small causal language model to train from scratch, for artifacts that must fit into a package and run on a CPU.

GPT-2's layout (Radford et al. 2019) with tied embeddings, as text-only captioners use it: DeCap (Li et al. 2023) trains
four layers of four heads.
"""

from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase


def build_small_language_model(
    tokenizer: PreTrainedTokenizerBase,
    *,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    max_positions: int,
    dropout: float = 0.1,
) -> PreTrainedModel:
    """Build an untrained model for the tokenizer; `max_positions` counts prefix and caption tokens together."""
    # No padding token: the model would warn of it in rows that end early, and the decoder states it at each search.
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=max_positions,
        n_embd=hidden_size,
        n_layer=num_layers,
        n_head=num_heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return GPT2LMHeadModel(config)
