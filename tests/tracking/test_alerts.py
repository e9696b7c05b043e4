"""How a run ended, as W&B says it: the state, the exit code, an alert, and what went wrong without a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.errors import Diverged, Stopped, TrainingError
from studio.core.files import write_text
from studio.runs.folder import RunFolder
from studio.runs.mirror import Mirror
from studio.runs.records import LockedModel, RunLock
from studio.tracking.settings import Tracking
from studio.tracking.wandb import open_sink
from tests.tracking.conftest import Remembers, Server


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "state", "code", "alerts"),
    [
        (None, "done", 0, [("bot is done", "INFO")]),
        (Stopped(), "stopped", 0, []),
        (KeyboardInterrupt(), "stopped", 0, []),
        (Diverged("The loss became infinite at step 3", hint=""), "failed", 1, [("bot diverged", "ERROR")]),
        (TrainingError("no rows", hint="", where="/srv/secret/rows.csv"), "failed", 1, [("bot failed", "ERROR")]),
    ],
    ids=["done", "stopped", "interrupted", "diverged", "failed"],
)
def test_how_a_run_ended_is_said_as_it_was(
    problem: BaseException | None,
    state: str,
    code: int,
    alerts: list[tuple[str, str]],
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "c0ffee" * 6 + "abcd")
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    folder = RunFolder(tmp_path)
    write_text(folder.asked, "name: bot\ndata: {train: /srv/secret/rows.csv}\n")
    RunLock(fingerprint="f", seed=1, model=LockedModel(name="starter")).write(folder.lock)
    sink = open_sink(Tracking(wandb="online"), "bot-1", "bot", tmp_path, {}, Remembers(), init_timeout=20, finish_timeout=20)
    assert sink is not None
    Mirror(folder, [sink], Remembers()).ended(problem)
    assert server.summary()["state"] == state
    assert server.exit_codes() == [code]
    assert server.alerts() == alerts
    assert b"/srv/secret" not in server.everything()
