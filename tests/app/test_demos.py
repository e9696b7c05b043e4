"""The demo's settings, on the starter and on a real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio import spec
from studio.app import demos
from studio.core import resources
from studio.models import smollm2


def test_the_demo_on_a_real_model_leaves_rates_batch_and_general_rows_to_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(smollm2, "folder", lambda: tmp_path)
    starter = spec.load(demos.spec_file())
    assert demos.settings("starter") == []
    real = spec.edit(starter, spec.parse_settings(demos.settings("smollm2")))
    assert starter.training.learning_rate == 5e-3
    assert (real.model.name, real.training.learning_rate, real.training.batch_size) == ("smollm2", None, None)
    assert (real.data.replay, real.training.epochs) == (None, 3)
    assert real.data.train == str(resources.sample("support.jsonl")), "and no general rows of the starter's own"
