"""The caption decoder: text-space embeddings in, captions out.

`projector` makes a prefix of an embedding, a causal language model of transformers continues it with a caption
(`captioner`, after ClipCap, Mokady et al. 2021, arXiv 2111.09734), `generation` says how: beam search, or samples that
depend on their own seed alone. `tokenizer` and `small` build a language model that is trained from scratch; `store`
saves and loads all of it.
"""
