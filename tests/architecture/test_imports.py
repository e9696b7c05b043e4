"""Imports stay light, files short, packages in their layers."""

from __future__ import annotations

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


SAY = f"""
import sys

def say(step: str) -> None:
    if loaded := sys.modules.keys() & set({HEAVY!r}):
        sys.exit(f"{{step}} loads {{', '.join(sorted(loaded))}}")
"""
HELP = """
import contextlib, io, time
from studio.cli import main

def ask(command, path: list[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        main.run([*path, "--help"])
    assert "Usage" in shown.getvalue(), path
    say(" ".join(["studio", *path, "--help"]))
    if not path:  # bench/startup.py measures the promise, 0.5 s of CPU; here only a gross regression fails
        assert time.process_time() < 4.0
    for name, one in getattr(command, "commands", {}).items():
        ask(one, [*path, name])

ask(main.typer.main.get_command(main.app), [])
"""


def run(code: str) -> None:
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_importing_a_face_loads_nothing_heavy() -> None:
    steps = "\n".join(f"import {module}\nsay({module!r})" for module in FACES)
    run(f"{SAY}\n{steps}\nimport studio\nstudio.RunSpec, studio.start\nsay('a name of studio')")


@pytest.mark.slow
def test_the_help_of_every_command_loads_nothing_heavy_and_the_first_answers_within_the_import_budget() -> None:
    run(SAY + HELP)


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / "studio").rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 330} == {}


def test_sample_data_does_not_shadow_the_datasets_package() -> None:
    assert list((ROOT / "datasets").rglob("*.py")) == []


def test_every_package_is_listed_in_the_layers() -> None:
    contracts = (ROOT / "pyproject.toml").read_text()
    assert "exhaustive = true" in contracts
