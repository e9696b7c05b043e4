"""Artifacts for other runtimes: merging, export targets, verification, deployment, upload."""
