"""Metrics points are written and read by one class, and behave as a mapping of their figures."""

from __future__ import annotations

from pathlib import Path

from studio.core.metrics import MetricsPoint


def test_a_point_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    MetricsPoint(3, 17.5, {"loss": 2.25, "lr": 1e-4}).append(file)
    assert file.read_text() == '{"step": 3, "loss": 2.25, "lr": 0.0001, "time": 17.5}\n'
    (point,) = MetricsPoint.read(file)
    assert (point.step, point.time, point["loss"], dict(point)) == (3, 17.5, 2.25, point.as_json())
    assert ("eval_loss" in point, point.get("eval_loss", 9.0)) == (False, 9.0)


def test_lines_that_hold_no_point_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('not json\n[1]\n{"loss": 1}\n{"step": "x"}\n{"step": 1, "loss": null, "lr": 2.0}\n{"step": 2, "lo')
    assert [point.as_json() for point in MetricsPoint.read(file)] == [{"step": 1, "lr": 2.0, "time": 0.0}]
    assert MetricsPoint.parse_line(b"torn") is None
