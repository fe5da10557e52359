"""Evaluation: hearing, captions and modality gap, measured on an artifact."""
