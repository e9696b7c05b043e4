"""The queue on the Runs page: seen in order, moved, cancelled."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from studio.app import library, overview, queue
from studio.app.fragments import runs as show
from studio.processes import locks
from studio.runs import supervisor
from studio.spec import parse
from tests.ui.hostile import EVIL


def end_supervisor(home: Path) -> None:
    """End the one an earlier test may have left waiting for work."""
    end = time.monotonic() + 20
    while supervisor.alive(home):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int((home / "locks" / "supervisor.lock").read_text()), signal.SIGKILL)
        assert time.monotonic() < end
        time.sleep(0.1)


def test_waiting_runs_are_moved_and_cancelled_on_the_runs_page(studio: Any, screen: Any):
    end_supervisor(studio.home)
    with locks.hold(supervisor._lock(studio.home)):  # so that none of them starts
        names = ("first", "second", EVIL[:60])
        file = library.versions(studio.home)[0].files[0]
        ids = [queue.submit(parse({"name": name, "data": {"train": file}}), studio.home).id for name in names]
        screen.goto("/runs")
        lines = screen.locator("#waiting label:has(input)")
        expect(lines).to_have_count(3)
        expect(lines.nth(2)).to_contain_text(EVIL[:60])
        lines.nth(2).locator("input").check()
        screen.locator("#up").click()
        expect(lines.nth(1)).to_contain_text(ids[2])
        expect(lines.nth(1).locator("input")).to_be_checked()
        screen.locator("#up").click()
        expect(lines.nth(0)).to_contain_text(ids[2])
        screen.locator("#down").click()
        expect(lines.nth(1)).to_contain_text(ids[2])
        assert [item.run for item in queue.order(studio.home)] == [ids[0], ids[2], ids[1]]
        screen.locator("#cancel").click()
        expect(lines).to_have_count(2)
        expect(screen.locator("#runs tr", has_text=ids[2])).to_contain_text("stopped")
        screen.locator("#up").click()
        expect(screen.get_by_text("no run is chosen")).to_be_visible()
        for run in (ids[0], ids[1]):
            queue.cancel(run, studio.home)
        expect(screen.locator("#waiting")).to_be_hidden()
        assert screen.evaluate("window.hacked") is None


def test_the_waiting_runs_stand_in_the_order_of_the_queue(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    with locks.hold(supervisor._lock(tmp_path)):
        spec = parse({"name": "a", "data": {"train": str(tmp_path / "a.jsonl")}})
        ids = [queue.submit(spec, tmp_path).id for _ in range(3)]
    queue.move(ids[2], 1, tmp_path)
    assert [run for _, run in show.waiting(overview.rows(tmp_path))] == [ids[2], ids[0], ids[1]]
    assert show.waiting(overview.rows(tmp_path))[0][0] == f"1. a · {ids[2]}"
