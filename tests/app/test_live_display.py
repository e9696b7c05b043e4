"""What a notebook and a script show of a run under way: where it is tracked, and what the user should know."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.app import display, notebook, run_updates
from studio.app.notebook import Run
from studio.core import events
from studio.runs import folder as folders
from studio.runs.recorder import Recorder
from studio.spec import parse

PAGE = "https://wandb.ai/ann/studio/runs/bot-1f2e3d"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = folders.create(parse({"name": "bot", "data": {"train": str(tmp_path / "rows.jsonl")}}), tmp_path)
    recorder = Recorder(folder)
    recorder.event(events.Tracking(mode="online", url=PAGE))
    for number in range(5):
        recorder.event(events.Warning(message=f"warning {number} <b>", hint=f"Do {number}."))
    return Run(folder)


def test_a_notebook_links_to_the_page_of_the_tracker_and_shows_the_latest_warnings(run: Run) -> None:
    live = display.progress(run, [])
    assert f'<a href="{PAGE}">' in live
    assert f'<a href="{PAGE}">' in display.run(run)
    assert [number for number in range(5) if f"warning {number} &lt;b&gt;" in live.casefold()] == [2, 3, 4]
    assert "Do 4." in live


def test_a_page_that_is_none_is_no_link(run: Run) -> None:
    Recorder(run.folder).event(events.Tracking(mode="online", url="javascript:alert(1)"))
    assert "javascript" not in display.progress(run, [])


def test_a_script_is_given_the_address_too(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    notebook._lines(run, next(run_updates.watch(run.folder)), [])
    assert f"{run.id}: tracked at {PAGE}" in capsys.readouterr().err
