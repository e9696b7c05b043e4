"""The benchmarks' own run is one that the trainer takes: every field that a plan decides is decided."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_what_the_benchmarks_train_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    from kit import training  # pyright: ignore[reportMissingImports]

    job = training.job(tmp_path, 8, 512, "fp32", 4, True)
    assert job.rows == 8
    assert job.training.recompute_every == 1
