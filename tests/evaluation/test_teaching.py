"""A distilled student beside its teacher: distances on the held-out rows, the teacher's answers, and what the verdict says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.evaluation import teaching
from studio.evaluation.report import Report
from studio.evaluation.teaching import TeacherAnswer, TeacherAnswers
from studio.evaluation.verdict import decide
from tests.evaluation.test_parent import report


def rows(divergence: float, same: int, count: int = 8) -> np.ndarray:
    """Ten trained tokens in each row."""
    return np.array([[10 * divergence] * count, [same] * count, [10] * count], dtype=np.float64)


@pytest.fixture
def student() -> Report:
    """Base, the same rows without the teacher, and the student: 2, 4 and 6 of 8 right."""
    found = report([True] * 2 + [False] * 6, [True] * 6 + [False] * 2)
    without = report([True] * 4 + [False] * 4, [True] * 6 + [False] * 2).sets[0]
    sets = [*found.sets, replace(without, name="sft:held-out", before="sft")]
    return found.model_copy(update={"sets": sets, "verdict": decide(sets)})


def test_every_model_s_distance_from_the_teacher_is_a_figure_with_its_interval(student: Report):
    apart = {"base": rows(0.9, 2), "sft": rows(0.2, 8), "tuned": rows(0.1, 9)}
    found = teaching.beside(student, apart, None)
    base, sft = (found.set(name) for name in ("held-out", "sft:held-out"))
    assert base is not None
    assert sft is not None
    figure = base.metrics["teacher_divergence"]
    assert (figure.base.value, figure.tuned.value) == (pytest.approx(0.9), pytest.approx(0.1))
    assert figure.change.low is not None
    assert sft.metrics["teacher_divergence"].base.value == pytest.approx(0.2)
    assert sft.metrics["same_choice"].tuned.value == pytest.approx(0.9)
    assert "KL to the teacher 0.900 -> 0.100" in found.verdict.text
    assert "against the same rows without the teacher exact match 50" in found.verdict.text


def test_the_teacher_s_own_answers_are_a_side_of_their_own(student: Report, tmp_path: Path):
    answers = tuple(
        TeacherAnswer(question=f"q{at}", reference="yes", text="yes" if at < 7 else "no", tokens=1, stopped=True)
        for at in range(8)
    )
    TeacherAnswers(key="them", answers=answers).write(tmp_path / teaching.FILE)
    assert TeacherAnswers.existing(tmp_path / teaching.FILE, "others") is None
    kept = TeacherAnswers.existing(tmp_path / teaching.FILE, "them")
    found = teaching.beside(student, {}, kept).set("teacher:held-out")
    assert found is not None
    figure = found.metrics["exact_match"]
    assert (found.before, figure.base.value, figure.tuned.value) == ("teacher", 7 / 8, 6 / 8)


def test_a_student_that_is_worse_than_its_rows_alone_is_said_to_be(student: Report):
    sets = [student.sets[0], report([True] * 8, [False] * 8).sets[0]]
    sets[1] = replace(sets[1], name="sft:held-out", before="sft")
    low = sets[1].metrics["exact_match"]
    sets[1].metrics["exact_match"] = replace(low, change=replace(low.change, value=-1.0, low=-1.0, high=-1.0))
    assert "the teacher did harm" in decide(sets).text
