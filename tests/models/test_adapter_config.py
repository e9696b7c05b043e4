"""A config that leaves out layers of the adapter's file is refused, by the rules with which PEFT leaves them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models.adapter_config import check_layers

LAYERS = {f"model.layers.{layer}.self_attn.{name}": 8 for layer in (0, 1) for name in ("q_proj", "v_proj")}


def refused(**config: Any) -> str:
    try:
        check_layers({"r": 8, "target_modules": ["q_proj", "v_proj"], **config}, LAYERS, [], Path("adapter"))
    except ModelError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({"target_modules": ["q_proj"]}, 2),
        ({"target_modules": r".*\.0\..*"}, 2),
        ({"exclude_modules": ["q_proj"]}, 2),
        ({"exclude_modules": r".*\.1\.self_attn\.v_proj"}, 1),
        ({"layers_to_transform": [0]}, 2),
        ({"layers_to_transform": 1, "layers_pattern": "layers"}, 2),
        ({"layers_to_transform": [0], "layers_pattern": ["blocks", "layers"]}, 2),
    ],
)
def test_layers_that_the_config_leaves_out_are_counted(config: dict[str, Any], count: int):
    assert refused(**config).startswith(f"adapter_config.json leaves out {count} of the 4 layers in the adapter's file")


@pytest.mark.parametrize(
    "config", [{}, {"target_modules": "all-linear"}, {"layers_to_transform": [0, 1]}, {"exclude_modules": ["o_proj"]}]
)
def test_a_config_that_names_all_of_them_is_taken(config: dict[str, Any]):
    assert refused(**config) == ""
