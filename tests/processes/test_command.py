"""A command asked for a document gives its answer, or the error it refused with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.core.errors import StudioError
from studio.data.report import DataReport
from studio.processes import command


@pytest.mark.slow
def test_a_refusal_is_raised_though_its_exit_code_is_one_of_an_answer(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="there is no such file") as caught:
        command.run_json(["data", "inspect", str(tmp_path / "gone.csv")], tmp_path, good=(0, 2))
    assert caught.value.hint


@pytest.mark.slow
def test_an_answer_that_exits_with_2_is_returned(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"question": "Why?", "answer": text}) + "\n" for text in ("So.", "", "", "")))
    answer = command.run_json(["data", "inspect", str(file)], tmp_path, good=(0, 2))
    report = DataReport.from_json(answer)
    assert not report.usable
    assert report.totals.rejected == 3
