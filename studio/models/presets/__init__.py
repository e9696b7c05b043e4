"""Known base models: the facts of their `config.json` that planning needs, so that a plan needs no hub and no weights.

One JSON file a model: the config's shape fields as published, the licence, and the exact number of parameters, which a
test counts again from the config. To add one: write its file; where its architecture has none, with `counts`, as
`python -m studio.models.counting` prints them of its config. Weights are never shipped.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Preset:
    """What is known of a base model before it is downloaded."""

    name: str
    """Hub id."""
    license: str
    """SPDX name, or the hub's own for licences SPDX does not list."""
    parameters: int
    config: dict[str, Any] = field(repr=False, compare=False)
    """The shape fields of its `config.json`."""
    source: str = ""
    """The public page the facts were read from."""
    license_note: str = ""
    """What the licence restricts, if it restricts the use of the tuned model."""
    note: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What `studio.models.counting` counts of the config, where its architecture has no file: so a plan need not build it."""


def names() -> tuple[str, ...]:
    """The hub ids of all presets, smallest model first."""
    return tuple(sorted(_all(), key=lambda name: _all()[name].parameters))


def preset(name: str) -> Preset | None:
    """The preset of a hub id, upper and lower case alike; None if there is none."""
    known = {key.lower(): value for key, value in _all().items()}
    return known.get(name.lower())


def config(name: str) -> dict[str, Any] | None:
    """The `config.json` facts of a hub id, as a fresh dictionary; None if it is no preset."""
    found = preset(name)
    return json.loads(json.dumps(found.config)) if found else None


def counts(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What was counted of exactly this config; None if it is no preset's, or its architecture has a file."""
    return next((item.counts for item in _all().values() if item.counts and item.config == config), None)


@functools.cache
def _all() -> dict[str, Preset]:
    found = (Preset(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(FOLDER.glob("*.json")))
    return {item.name: item for item in found}
