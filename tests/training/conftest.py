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
    """Load the tiny model (or another folder), in fp32, or quantised as the studio does it."""

    def load(folder: Path = tiny_model, quantization: str = "none") -> Any:
        import torch
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig, logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
        more = {"quantization_config": config} if quantization == "nf4" else {}
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more)
        for layer in model.modules():
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                layer.support_avx512bf16_for_cpu = False
        return model

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
