"""The frozen CLAP encoder: log-mel spectrograms, audio tower, text tower."""
