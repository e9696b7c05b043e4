"""Every config parses, plans on ordinary cards, and is what the schema in the folder says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio import planner, spec
from studio.hardware.machine import Machine, probe
from studio.models import presets

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
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
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert file.stem == "demo" or "Licence: " in text
    assert made.name == file.stem
    names = [*made.data.files, str(made.data.holdout)]
    names += [made.evaluation.general] if made.evaluation.general not in ("builtin", "off") else []
    assert [name for name in names if not (CONFIGS.parent / name).exists()] == []


@pytest.mark.parametrize("gpu", ["RTX 3060", "RTX 4090"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_fits_an_ordinary_card(file: Path, gpu: str) -> None:
    made = spec.load(file)
    plan = planner.resolve(made, replace(probe(gpu), disk_free=1 << 40), found(made.model.name), rows())
    assert plan.fits, plan.summary
    assert plan.counts.dropped == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
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
