"""The real Trackio client on a file store of its own: the second tracker behind the seam that W&B is behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from studio.tracking.settings import Tracking
from studio.tracking.sink import Sink
from studio.tracking.trackio import TrackioSink, open_sink
from studio.tracking.wandb import WandbSink
from tests.tracking.conftest import Remembers

installed = pytest.mark.skipif(find_spec("trackio") is None, reason="the extra `trackio` is not installed")
PROGRAM = """
import json, sys
from pathlib import Path
from studio.tracking.settings import Tracking
from studio.tracking.trackio import open_sink
from tests.tracking.conftest import Remembers

folder, reporter = Path(sys.argv[1]), Remembers()
settings = Tracking(trackio="on", project="studio-tests", group="nightly")

def opened():
    files = {"/srv/a.csv": "1", "/srv/b/a.csv": "2"}
    config = {"spec": {"data": {"train": str(Path.home() / "faq.csv")}}, "lock": {"data": files}}
    sink = open_sink(settings, "bot-1234", folder, config, reporter)
    assert sink is not None, reporter.events
    return sink

sink = opened()
for step in (10, 20):
    sink.log(step, {"loss": 3.0 / step, "eval_loss": 0.5, "grad_norm": float("nan")})
sink.summary({"verdict": "better", "held-out/exact_match/change": 0.25})
sink.table("samples", ["question", "tuned"], [["how long", "24 months"]])
sink.page("report", "<p>evidence</p>")
(folder / "adapter.safetensors").write_bytes(b"weights")
sink.artifact("bot adapter", "model", [folder / "adapter.safetensors"], {"dataset": "d1"})
sink.used("bot-dataset", "dataset", {"sha256": "d1"})
sink.alert("bot is done", "better", "INFO")
sink.finish()
again = opened()
last = again.last_step()
again.log(30, {"loss": 0.1})
again.finish()

from trackio.sqlite_storage import SQLiteStorage as Store
name = "studio-tests"
json.dump({
    "runs": Store.get_runs(name), "last": last, "config": Store.get_run_config(name, "bot-1234"),
    "logs": Store.get_logs(name, "bot-1234"), "alerts": Store.get_alerts(name),
    "artifacts": [(item["name"], item["type"]) for item in Store.get_artifacts(name)],
    "warnings": reporter.told("warning"), "events": reporter.told("tracking"),
}, sys.stdout, default=str)
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Trackio itself reads of a run that was sent, closed, and opened again."""
    folder = tmp_path_factory.mktemp("run")
    environment = {**os.environ, "TRACKIO_DIR": str(folder / "trackio"), "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, env=environment, timeout=900, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return {**json.loads(ended.stdout), "folder": folder}


@pytest.mark.slow
@installed
def test_everything_a_run_sends_is_found_in_trackio_again(kept: dict[str, Any]) -> None:
    logged = {name: value for line in kept["logs"] for name, value in line.items()}
    steps = [(line["train/step"], line["train/loss"]) for line in kept["logs"] if "train/loss" in line]
    assert steps == [(10, 0.3), (20, 0.15), (30, 0.1)]
    assert logged["eval/loss"] == 0.5
    assert "train/grad_norm" not in logged
    assert logged["held-out/exact_match/change"] == 0.25
    assert "24 months" in json.dumps(logged["samples"])
    assert "better" in json.dumps(logged["summary"])
    assert logged["report"]["_type"] == "trackio.html"
    assert sorted(kept["artifacts"]) == [["bot-adapter", "model"], ["bot-dataset", "dataset"]]
    assert [alert["title"] for alert in kept["alerts"]] == ["bot is done"]
    assert kept["config"]["_Group"] == "nightly"
    assert kept["warnings"] == ""
    assert "trackio show --project studio-tests" in kept["events"]


@installed
@pytest.mark.slow
def test_a_run_that_is_opened_again_goes_on_in_the_same_run(kept: dict[str, Any]) -> None:
    assert kept["runs"] == ["bot-1234"]
    assert kept["last"] == 20


@installed
def test_folders_and_who_you_are_stay_here(kept: dict[str, Any]) -> None:
    assert kept["config"]["lock"]["data"] == {"a.csv": "1", "a.csv (2)": "2"}
    assert kept["config"]["spec"]["data"]["train"] == "~/faq.csv"
    assert kept["config"]["_Username"] is None
    assert str(kept["folder"]) not in json.dumps([kept["config"], kept["logs"]])


def test_without_the_package_the_run_goes_on_and_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.trackio.find_spec", lambda name: None)
    reporter = Remembers()
    assert open_sink(Tracking(trackio="on"), "bot-1", tmp_path, {}, reporter) is None
    assert "pip install 'slm-studio[trackio]'" in reporter.told("warning")


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    reporter = Remembers()
    assert open_sink(Tracking(), "bot-1", tmp_path, {}, reporter) is None
    assert reporter.events == []


def test_both_trackers_are_behind_one_seam() -> None:
    seam = {name for name in vars(Sink) if not name.startswith("__")} - {"_abc_impl", "_surroundings"}
    for tracker in (WandbSink, TrackioSink):
        assert issubclass(tracker, Sink)
        overridden = seam & vars(tracker).keys()
        assert overridden == set(Sink.__abstractmethods__), "what callers use is written once, in the seam"
