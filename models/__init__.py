"""The captioner: audio, networks, artifacts, training and evaluation. Knows no HTTP."""
