"""Imports stay light, files short, packages in their layers."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = [
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "bitsandbytes",
    "accelerate",
    "wandb",
    "pandas",
    "pyarrow",
    "gradio",
]
FACES = [
    "studio", "studio.spec", "studio.cli.main", "studio.app.notebook", "studio.app.queue", "studio.planner", "studio.worker",
]  # fmt: skip


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("module", FACES)
def test_importing_a_face_loads_nothing_heavy(module: str) -> None:
    loaded = run(f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded.strip() == ""


def test_studio_names_what_the_notebook_needs_without_loading_it() -> None:
    loaded = run(f"import sys, studio; studio.RunSpec; studio.start; print(*[m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded.strip() == ""


@pytest.mark.parametrize("verb", [[], ["train"], ["data"], ["data", "inspect"], ["runs"], ["plan"], ["export"], ["chat"]])
def test_help_answers_within_the_import_budget(verb: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run([sys.executable, "-m", "studio", *verb, "--help"], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Usage" in shown.stdout
    # the promise is 0.5 s of CPU on a quiet machine (bench/startup.py measures it); here only a gross regression fails
    assert after.ru_utime - before.ru_utime < 2.0


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / "studio").rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 330} == {}


def test_sample_data_does_not_shadow_the_datasets_package() -> None:
    assert list((ROOT / "datasets").rglob("*.py")) == []


def test_every_package_is_listed_in_the_layers() -> None:
    contracts = (ROOT / "pyproject.toml").read_text()
    assert "exhaustive = true" in contracts
