"""The plan of a distillation: the teacher comes first, alone, and its memory, time and disk are counted, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio import planner
from studio.core.errors import DoesNotFit, SpecError
from studio.hardware.machine import probe
from studio.models import presets
from studio.models.finding import FoundModel
from studio.models.settings import Model
from studio.planner import Plan
from studio.planner.teaching import Teacher
from studio.spec import parse
from tests.test_planner import QWEN8B, some_rows

STUDENT = "Qwen/Qwen3-0.6B"


def teacher(name: str = QWEN8B, quantization: str = "none") -> Teacher:
    model = Model.model_validate({"name": name, "quantization": quantization, "dtype": "bf16"})
    return Teacher(name, model, FoundModel(name, name, None, False, config=presets.config(name) or {}))


def plan(gpu: str, found: Teacher, **method: Any) -> Plan:
    spec = {
        "data": {"train": "rows.jsonl"},
        "model": {"name": STUDENT},
        "training": {"method": {"kind": "distil", "teacher": found.name, **method}},
    }
    machine = replace(probe(gpu), disk_free=1 << 42)
    model = FoundModel(STUDENT, STUDENT, None, False, config=presets.config(STUDENT) or {})
    return planner.resolve(parse(spec), machine, model, some_rows(), teacher=found)


def test_the_teacher_is_counted_alone_before_the_student_and_never_together_with_it():
    made, small = plan("RTX 4090", teacher()), plan("RTX 4090", teacher("Qwen/Qwen3-1.7B"))
    assert made.teacher is not None
    assert small.teacher is not None
    assert made.memory.total == small.memory.total  # the student's: whoever taught it
    assert made.teacher.memory.total > 2 * 8e9
    assert made.fits
    assert made.record().teacher == made.teacher
    assert any("reads the rows first, alone" in line for line in made.summary)


def test_a_teacher_that_does_not_fit_is_refused_and_the_hint_says_what_would():
    made = plan("RTX 3060", teacher())
    assert made.memory.total <= made.memory_budget
    assert not made.fits
    with pytest.raises(DoesNotFit, match="the teacher Qwen/Qwen3-8B needs") as found:
        made.refuse_if_it_does_not_fit()
    assert found.value.where == "training.method.teacher"
    assert "teacher_quantization to nf4" in found.value.hint
    assert plan("RTX 3060", teacher(quantization="nf4")).fits
    assert "URL#MODEL" in plan("RTX 3050", teacher("microsoft/phi-4", "nf4")).teacher_hint


def test_what_is_kept_of_the_teacher_is_counted_on_the_disk_and_its_reading_in_time():
    few, many = plan("RTX 4090", teacher(), top_k=8), plan("RTX 4090", teacher(), top_k=64)
    assert few.teacher is not None
    assert many.teacher is not None
    rows = some_rows()
    scored = rows.trained + round(rows.scored * int(rows.held_out.sum()))
    assert few.teacher.cache == pytest.approx(68 * scored, rel=0.01)
    assert dict(few.disk.items)["the teacher's probabilities"] == few.teacher.cache
    assert many.teacher.cache == pytest.approx(few.teacher.cache * 516 / 68, rel=0.01)
    assert few.teacher.time is not None
    assert few.teacher.time.low > 0


def test_a_teacher_that_is_not_there_is_refused_by_the_plan_with_where_and_hint(tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "Where?", "answer": "Here."}\n' * 2 + '{"question": "When?", "answer": "Now."}\n')
    spec = {
        "data": {"train": str(rows), "holdout": 0}, "model": {"name": "starter"},
        "training": {"method": {"kind": "distil", "teacher": "nobody"}},
    }  # fmt: skip
    from studio.app import plans

    with pytest.raises(SpecError, match="`nobody` is neither a run nor a model") as found:
        plans.plan(spec, home=tmp_path / "home")
    assert found.value.where == "training.method.teacher"
    assert found.value.hint
