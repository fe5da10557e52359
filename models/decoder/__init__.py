"""The caption decoder: text-space embeddings in, captions out.

`projector` makes a prefix of an embedding, and a language model of transformers continues it with a caption (`captioner`,
after ClipCap, Mokady et al. 2021, arXiv 2111.09734). `language_model` hides whether that is a causal one or has an encoder,
`prompt` renders the words around the prefix, and `generation` says how captions are searched for: beam search, or samples
that depend on their own seed alone. `tokenizer` and `small` build a language model that is trained from scratch; `reference`
names a released one and `adapter` tunes it. `store` saves and loads all of it.
"""
