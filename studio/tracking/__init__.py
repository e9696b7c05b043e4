"""Metrics and events of a run, Weights & Biases, secrets."""
