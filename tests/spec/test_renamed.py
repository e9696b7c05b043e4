"""A field that was renamed keeps its old name for one release: read, with a warning; in what a run recorded, silently."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from pydantic import ValidationError

from studio import spec as specs
from studio.cli import main
from studio.core.errors import SpecError
from studio.core.section import RenamedSetting
from studio.data.settings import ResolvedData
from studio.spec import RunSpec

OLD = "data: {train: a.csv}\ntraining: {row_attention: false}\nexport: [{kind: merged, onto: original}]\n"
NEW = "data: {train: a.csv}\ntraining: {varlen_attention: false}\nexport: [{kind: merged, merge_into: original}]\n"


def test_old_names_are_read_with_a_warning_that_says_the_new_one():
    with pytest.warns(RenamedSetting) as seen:
        old = specs.parse_text(OLD)
    assert "`row_attention` is now called `varlen_attention`" in str(seen[0].message)
    assert old == specs.parse_text(NEW)


def test_old_names_work_in_set_and_in_python():
    spec = specs.parse_text(NEW)
    with pytest.warns(RenamedSetting):
        assert specs.edit(spec, {"training.unpack_once": True}).training.reuse_dequantized is True
    with pytest.warns(RenamedSetting):
        assert RunSpec(data={"train": "a.csv"}, training={"trained_head": False}).training.loss_on_labels_only is False


def test_what_a_run_has_recorded_is_read_in_silence(tmp_path: Path):
    (tmp_path / "asked.yaml").write_text(OLD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert specs.load_recorded(tmp_path / "asked.yaml") == specs.parse_text(NEW)


def test_a_field_given_by_both_names_is_refused():
    with pytest.raises(SpecError, match="unknown key `row_attention`"):
        specs.parse_text("data: {train: a.csv}\ntraining: {row_attention: false, varlen_attention: true}\n")


def test_the_command_says_it_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warnings, "showwarning", main._show_warning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", main._show_warning)
        specs.parse_text(OLD)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warning: `row_attention` is now called `varlen_attention`; the old name is read until the next release"


def test_a_run_that_was_planned_before_there_was_replay_had_none():
    recorded = {"train": "a.csv", "max_length": 128}
    assert ResolvedData.model_validate(recorded, context=specs.RECORDED).replay == 0
    with pytest.raises(ValidationError):
        ResolvedData.model_validate(recorded)
