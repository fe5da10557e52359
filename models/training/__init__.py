"""Training: corpus, train-clap, embed, train-bridge, train-decoder, export. Nothing that serves imports it."""
