"""Lines that are appended: whole or refused, also after half a line."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from studio.core.files import append_json, read_json_lines
from studio.core.journal import Journal


def test_a_line_after_one_that_a_torn_write_left_unfinished_is_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    append_json(file, {"step": 1})
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"step": 2, "lo')
    append_json(file, {"step": 2})
    append_json(file, {"step": 3})
    assert list(read_json_lines(file)) == [{"step": 1}, {"step": 2}, {"step": 3}]
    assert file.read_bytes().count(b"\n") == 4, "no empty lines"


def test_a_line_of_a_log_after_half_a_line_is_read(tmp_path: Path) -> None:
    log = Journal(tmp_path / "web.jsonl")
    log.write({"event": "one"})
    with log.file.open("ab") as file:
        file.write(b'{"event": "tw')
    log.write({"event": "three"})
    assert [line["event"] for line in log.read()] == ["one", "three"]


def test_a_line_of_which_only_a_part_fits_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    append_json(file, {"step": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 5, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append_json(file, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    append_json(file, {"step": 3})
    assert list(read_json_lines(file)) == [{"step": 1}, {"step": 3}]
