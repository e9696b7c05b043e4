"""One tiny model on disk for all training tests, and ways of loading it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.training.job import Fitted, Job
from tests.training.kit import Memory, make_job


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def load(tiny_model: Path) -> Callable[..., Any]:
    """Load the tiny model, or another folder, by the studio's own door."""

    def load(folder: Path = tiny_model, quantization: str = "none", dtype: str = "fp32") -> Any:
        from studio.models.loading import load_base
        from studio.models.settings import Model

        return load_base(Model.model_validate({"name": str(folder), "quantization": quantization, "dtype": dtype}), "cpu")

    return load


@pytest.fixture
def run(load: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> Callable[..., tuple[Fitted, Memory, Job]]:
    """Fit the tiny model in a folder of its own: `run("name", epochs=1)` gives what came out, what was told, the job."""
    from studio.training.fit import fit

    def run(name: str = "run", reporter: Memory | None = None, base: Any = None, **changes: Any) -> tuple[Fitted, Memory, Job]:
        listener = reporter or Memory()
        job = make_job(tmp_path / name, **changes)
        return fit(base if base is not None else load(), tokenizer, job, listener), listener, job

    return run
