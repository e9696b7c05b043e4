"""What a killed export left is removed by the next one of the run, whatever its target; what is being made is left alone."""

from __future__ import annotations

import os
from pathlib import Path

from studio.app import upkeep
from studio.export.leftovers import abandoned, lock_of, sweep_abandoned
from studio.processes import locks
from tests.runs.test_damage import ended


def left(exports: Path, name: str) -> Path:
    folder = exports / name
    (folder / ".work").mkdir(parents=True)
    (folder / "model.safetensors").write_text("half")
    return folder


def test_folders_of_exports_that_nobody_makes_are_removed_and_the_others_stay(tmp_path: Path) -> None:
    gone = [left(tmp_path, name) for name in (".merged-4bit.0a1b2c3d", ".gguf-q8_0.old.ab_cdef1", ".onnx-int4.failed.01234567")]
    stays = [left(tmp_path, name) for name in (".coreml-int4.0a1b2c3d", "merged", ".reference", ".work")]
    with locks.hold(lock_of(tmp_path / "coreml-int4"), remove=True):
        assert sorted(abandoned(tmp_path)) == sorted(gone)
        sweep_abandoned(tmp_path)
        assert [item.exists() for item in (*gone, *stays)] == [False] * 3 + [True] * 4
    assert not list(tmp_path.glob(".*.lock")), "its own locks go"


def test_an_export_that_was_moved_aside_is_put_back(tmp_path: Path) -> None:
    left(tmp_path / ".merged.old.abcdefgh", "was")
    sweep_abandoned(tmp_path)
    assert (tmp_path / "merged" / "model.safetensors").exists()


def test_clean_lists_them_at_once_and_once(tmp_path: Path) -> None:
    run = ended(tmp_path)
    gone = left(run.exports, ".merged-4bit.0a1b2c3d")
    assert [(item.kind, item.path) for item in upkeep.find_unneeded(tmp_path)] == [("leftovers", gone)]
    os.utime(gone, (0, 0))
    assert [item.path for item in upkeep.find_unneeded(tmp_path)] == [gone]
    with locks.hold(lock_of(run.exports / "merged-4bit"), remove=True):
        os.utime(gone)
        assert upkeep.find_unneeded(tmp_path) == []
