"""One tiny model on disk for all training tests, and ways of loading it."""

# torch, transformers and peft have no full types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.training.job import TrainingJob, TrainingResult
from tests.training.kit import Memory, make_job


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="session")
def load(tiny_model: Path) -> Callable[..., Any]:
    """Load the tiny model, or another folder, by the studio's own door."""

    def load(folder: Path = tiny_model, quantization: str = "none", dtype: str = "fp32") -> Any:
        from studio.models.loading import load_base
        from studio.models.settings import Model

        return load_base(Model.model_validate({"name": str(folder), "quantization": quantization, "dtype": dtype}), "cpu")

    return load


@pytest.fixture(scope="session")
def fit_in(load: Callable[..., Any], tokenizer: Any) -> Callable[..., tuple[TrainingResult, Memory, TrainingJob]]:
    """Fit the tiny model in a folder: `fit_in(folder, epochs=1)` gives what came out, what was told, the job."""
    from studio.training.fit import fit

    def fit_in(
        folder: Path, reporter: Memory | None = None, base: Any = None, **changes: Any
    ) -> tuple[TrainingResult, Memory, TrainingJob]:
        listener = reporter or Memory()
        job = make_job(folder, **changes)
        return fit(base if base is not None else load(), tokenizer, job, listener), listener, job

    return fit_in


@pytest.fixture
def run(fit_in: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[TrainingResult, Memory, TrainingJob]]:
    """The same in a folder of the test's own: `run("name", epochs=1)`."""

    def run(name: str = "run", *more: Any, **changes: Any) -> tuple[TrainingResult, Memory, TrainingJob]:
        return fit_in(tmp_path / name, *more, **changes)

    return run


@pytest.fixture(scope="session")
def whole(fit_in: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Memory, TrainingJob]:
    """A run with the usual settings that nothing interrupted; not to be changed."""
    return fit_in(tmp_path_factory.mktemp("fits") / "whole")
