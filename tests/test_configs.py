"""Every config parses, plans on ordinary cards, and is what the schema in the folder says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from studio import planner, spec
from studio.hardware.machine import Machine, probe
from studio.models import presets
from studio.spec import documents

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(file for file in CONFIGS.rglob("*.yaml") if file.parent.name not in documents.NOT_SPECS)
STARTER = Path(__file__).parents[1] / "studio" / "models" / "starter"


@dataclass
class Found:
    config: dict[str, Any]


def found(name: str) -> Found:
    config = presets.config(name)
    if config is None:
        assert name == "starter", f"{name} is in a config and has no preset"
        config = json.loads(next(STARTER.rglob("config.json")).read_text())
    return Found(config)


def rows(longest: int = 400) -> planner.Rows:
    lengths = np.clip(np.random.default_rng(0).lognormal(4.5, 0.6, 500), 20, longest).astype(np.int64)
    return planner.Rows(lengths, int(lengths.sum() * 0.5), lengths[:100], answer=80)


def test_there_are_configs() -> None:
    assert len(FILES) >= 16


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_parses_says_what_it_is_and_names_files_that_are_there(file: Path) -> None:
    made = spec.load(file)
    text = file.read_text()
    schema = "schema.json" if file.parent == CONFIGS else "../schema.json"
    assert text.startswith(f"# yaml-language-server: $schema={schema}\n")
    assert made.model.name == "starter" or "Licence: " in text
    assert made.name == file.stem
    names = [*made.data.files, *([made.data.holdout] if isinstance(made.data.holdout, str) else []), *made.evaluation.also]
    names += [made.evaluation.general] if made.evaluation.general not in ("builtin", "off") else []
    assert [name for name in names if not Path(name).exists()] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_is_found_from_any_folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [name for name in spec.load(file).data.files if not Path(name).exists()] == []


def test_a_model_preset_says_only_what_differs() -> None:
    for file in FILES:
        if file.parent == CONFIGS and file.stem not in ("base", "demo"):
            values = yaml.safe_load(file.read_text())
            assert values["extends"] == "base.yaml", file.name
            assert set(values) <= {"extends", "name", "model", "export"}, file.name


def test_every_choice_of_a_task_preset_is_justified_beside_it() -> None:
    for file in (CONFIGS / "tasks").glob("*.yaml"):
        chosen = [line for line in file.read_text().splitlines() if re.match(r"  (- )?\w+: ", line)]
        bare = [line for line in chosen if "#" not in line and not re.match(r"  - kind: gguf", line)]
        assert bare == [], file.name


def test_what_the_demo_and_the_methods_choose_for_training_is_justified_beside_it() -> None:
    for file in (CONFIGS / "demo.yaml", *(CONFIGS / "methods").glob("*.yaml")):
        chosen = re.findall(r"^  (?:rank|epochs|batch_size|learning_rate): .*", file.read_text(), re.MULTILINE)
        assert chosen, file.name
        assert [line for line in chosen if "#" not in line] == [], file.name


def test_a_rank_and_a_number_of_epochs_come_with_their_source() -> None:
    """A paper by its name and year, or what the run itself measures."""
    for file in (CONFIGS / "tasks").glob("*.yaml"):
        for line in file.read_text().splitlines():
            if re.match(r"  (rank|epochs): ", line):
                assert re.search(r"20\d\d|held-out", line), f"{file.name}: {line}"


def test_the_best_model_for_8_gb_is_the_largest_that_fits() -> None:
    made = spec.load(CONFIGS / "tasks" / "best-8gb.yaml")
    machine = replace(probe("RTX 4060"), disk_free=1 << 40)
    lengths = np.full(500, 2048)
    long = planner.Rows(lengths, int(lengths.sum() * 0.5), lengths[:50], answer=200)
    assert planner.resolve(made, machine, found("Qwen/Qwen3-4B"), long).fits
    larger = spec.edit(made, {"model.name": "Qwen/Qwen3-8B"})
    assert not planner.resolve(larger, machine, found("Qwen/Qwen3-8B"), long).fits


@pytest.mark.parametrize("gpu", ["RTX 3060", "RTX 4090"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_fits_an_ordinary_card(file: Path, gpu: str) -> None:
    made = spec.load(file)
    plan = planner.resolve(made, replace(probe(gpu), disk_free=1 << 40), found(made.model.name), rows())
    assert plan.fits, plan.summary
    assert plan.counts.dropped == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.slow
def test_where_a_config_does_not_fit_the_plan_names_what_does(file: Path) -> None:
    made = spec.load(file)
    small = Machine("cpu", (), "a small CPU", cores=2, ram=8 << 30, ram_free=4 << 30, disk_free=1 << 40)
    plan = planner.resolve(made, small, found(made.model.name), rows(300))
    assert plan.fits or plan.alternatives, plan.summary
    if made.model.name == "starter":
        assert plan.fits


def test_every_config_but_the_demo_has_a_preset_and_the_licence_it_states() -> None:
    for file in FILES:
        known = presets.preset(spec.load(file).model.name)
        if known and known.license in ("apache-2.0", "mit"):
            assert f"Licence: {known.license.replace('apache', 'Apache').replace('mit', 'MIT')}" in file.read_text(), file.name
        elif known:
            assert known.license_note


def test_the_schema_in_the_folder_is_current() -> None:
    assert json.loads((CONFIGS / "schema.json").read_text()) == spec.schema(), "run: python -m tests.docs"


def test_presets_are_found_in_any_case_and_given_as_copies() -> None:
    name = presets.names()[0]
    first = presets.config(name.upper())
    assert first == presets.config(name)
    assert first is not None
    first.clear()
    assert presets.config(name)
    assert presets.config("no/such-model") is None


@pytest.mark.slow
def test_the_table_of_models_names_the_smallest_gpu_that_the_plan_accepts() -> None:
    table = (CONFIGS.parent / "docs" / "configs.md").read_text()
    stated = dict(re.findall(r"^\| \[([\w.-]+)\]\(../configs/[\w.-]+\) \|.*\| (\d+) GB \|$", table, re.MULTILINE))
    gpu, machine = probe("RTX 4060").gpus[0], replace(probe("RTX 4060"), disk_free=1 << 40)
    assert set(stated) == {file.stem for file in CONFIGS.glob("*.yaml")} - {"base", "demo"}
    for name, gigabytes in stated.items():
        made = spec.edit(
            spec.load(CONFIGS / f"{name}.yaml"), {"model.quantization": "nf4", "training.gradient_checkpointing": True}
        )
        for size in (4, 6, 8, 10, 12, 16, 24):
            of_size = replace(machine, gpus=(replace(gpu, total=size << 30, free=size << 30),))
            if planner.resolve(made, of_size, found(made.model.name), rows(512)).fits:
                assert int(gigabytes) == size, name
                break
