"""What a page shows of a command that it began."""

from __future__ import annotations

import time
from pathlib import Path

from studio.processes import tasks
from studio.processes.identity import ProcessId


def test_a_refusal_of_a_command_that_is_about_to_end_is_not_shown_as_its_progress(tmp_path: Path):
    note = tmp_path / "plan-new.json"
    tasks.TaskNote(kind="plan", name="new", begun=time.time(), process=ProcessId.current()).write(note)

    def shown(out: str, errors: str) -> str:
        note.with_suffix(".out").write_text(out)
        note.with_suffix(".err").write_text(errors)
        task = tasks.task(tmp_path, "plan", "new")
        assert task is not None
        assert task.state == "running"
        return task.progress

    assert shown("", "Requesting\rRequesting samples: 1 of 3\n") == "Requesting samples: 1 of 3"
    assert shown("", "Requesting samples\nthe API does not respond\n→ Check the address.\n") == ""
    assert shown('{"error": ', "Requesting samples\nthe API does not respond\n") == ""
