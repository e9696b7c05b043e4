"""The real W&B client: offline, against a loopback server that keeps to a recorded protocol, and against nobody."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio.data import desk_report, prepare
from studio.data.settings import Data
from studio.runs.folder import RunFolder
from studio.runs.mirror import Mirror
from studio.tracking.limits import without_paths
from studio.tracking.reporter import Silent
from studio.tracking.settings import Tracking
from studio.tracking.wandb import WandbSink, open_sink
from tests.data import messy
from tests.tracking.conftest import Remembers, Server

KEY = "c0ffee" * 6 + "abcd"
LINEAGE = {"dataset_sha256": "d1" * 32, "base_model": "starter", "parent_run": "bot-0"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("studio.tracking.secrets._from_keyring", lambda name: None)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def opened(folder: Path, reporter: Remembers, wandb: str = "auto", **timeouts: float) -> WandbSink | None:
    config = {"spec": {"model": {"name": "starter"}, "data": {"train": str(Path.home() / "faq.csv")}}, **LINEAGE}
    settings = Tracking(wandb=wandb, project="studio-tests", tags=["a"], note="n")  # type: ignore[arg-type]
    return open_sink(settings, "bot-1234", "bot", folder, config, reporter, job_type="train", **timeouts)


def fill(sink: WandbSink, folder: Path) -> None:
    for step in (10, 20, 30):
        sink.log(step, {"loss": 3.0 / step, "lr": 1e-3, "tokens": 100.0 * step})
    sink.log(30, {"eval_loss": 0.25, "grad_norm": float("nan")})
    sink.summary({"verdict": "better"})
    sink.table("samples", ["question", "tuned"], [["how long", "24 months"]])
    adapter = folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    sink.artifact("adapter bot", "model", [adapter], LINEAGE)


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def inspected(log: Path) -> list[dict[str, Any]]:
    """What W&B's own reader finds in an offline log."""
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(log)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_without_a_key_everything_is_kept_offline_in_the_run_folder(tmp_path: Path):
    reporter = Remembers()
    sink = opened(tmp_path, reporter)
    assert sink is not None
    assert not sink.online
    fill(sink, tmp_path)
    assert sink.finish() is None
    (log,) = tmp_path.glob("wandb/offline-run-*/run-bot-1234.wandb")
    text = json.dumps(inspected(log))
    for value in ("train/loss", "eval/loss", "24 months", "d1" * 32, "adapter-bot", "better"):
        assert value in text or value.encode() in everything_in(tmp_path), value
    assert "wandb sync" in reporter.told("tracking")
    assert reporter.told("warning") == ""


@pytest.mark.slow
def test_the_log_tells_nothing_of_the_machine(tmp_path: Path):
    sink = opened(tmp_path, Remembers(), "offline")
    assert sink is not None
    sink.finish()
    (log,) = tmp_path.glob("wandb/offline-run-*/run-bot-1234.wandb")
    written = log.read_bytes()
    assert socket.gethostname().encode() not in written
    assert str(Path.home()).encode() + b"/faq" not in written
    assert not list(tmp_path.rglob("requirements.txt")) + list(tmp_path.rglob("wandb-metadata.json"))


def test_with_a_key_the_run_goes_to_the_server(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    reporter = Remembers()
    sink = opened(tmp_path, reporter, init_timeout=20, finish_timeout=20)
    assert sink is not None
    assert sink.online, reporter.events
    sink.log(10, {"loss": 0.5})
    sink.log(20, {"loss": 0.4, "eval_loss": 0.3})
    url = sink.finish()
    assert url is not None
    assert "bot-1234" in url
    steps = [(row["train/step"], row["train/loss"]) for row in server.history()]
    assert steps == [(10, 0.5), (20, 0.4)]
    assert server.variables("UpsertBucket")["name"] == "bot-1234"
    config = json.loads(server.variables("UpsertBucket")["config"])
    assert config["dataset_sha256"]["value"] == LINEAGE["dataset_sha256"]
    assert KEY.encode() not in everything_in(tmp_path)
    assert reporter.told("warning") == ""


def test_an_unreachable_server_costs_seconds_and_the_run_is_kept_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    reporter = Remembers()
    began = time.monotonic()
    sink = opened(tmp_path, reporter, "online", connect_timeout=2)
    assert sink is not None
    assert not sink.online
    sink.log(1, {"loss": 1.0})
    assert sink.finish() is None
    assert time.monotonic() - began < 25
    assert "does not answer" in reporter.told("warning")
    assert KEY.encode() not in everything_in(tmp_path)


def test_a_server_that_accepts_and_never_answers_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{mute.getsockname()[1]}")
        reporter = Remembers()
        sink = opened(tmp_path, reporter, "auto", connect_timeout=0.5)
    assert sink is not None
    assert not sink.online
    sink.finish()
    assert "does not answer" in reporter.told("warning")


@pytest.mark.slow
def test_a_server_that_dies_mid_run_costs_no_more_than_the_finish_timeout(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    reporter = Remembers()
    sink = opened(tmp_path, reporter, init_timeout=20, finish_timeout=2)
    assert sink is not None
    assert sink.online
    server.shutdown()
    server.server_close()
    began = time.monotonic()
    for step in range(100):
        sink.log(step, {"loss": 1.0})
    assert time.monotonic() - began < 5
    sink.finish()
    assert time.monotonic() - began < 15
    assert "wandb sync" in reporter.told("warning")
    (log,) = tmp_path.glob("wandb/run-*/run-bot-1234.wandb")
    assert log.stat().st_size > 0


def test_a_key_the_client_refuses_falls_back_to_offline(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_API_KEY", "too-short")
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    reporter = Remembers()
    sink = opened(tmp_path, reporter, init_timeout=5)
    assert sink is not None
    assert not sink.online
    sink.finish()
    assert "kept offline" in reporter.told("warning")
    assert "too-short" not in reporter.told("warning")


def test_online_without_a_key_never_asks_for_one(tmp_path: Path):
    reporter = Remembers()
    sink = opened(tmp_path, reporter, "online")
    assert sink is not None
    assert not sink.online
    sink.finish()
    assert "no key" in reporter.told("warning")


def test_off_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert opened(tmp_path, Remembers(), "off") is None
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert opened(tmp_path, Remembers(), "auto") is None
    assert list(tmp_path.iterdir()) == []


class Broken:
    """A client's run whose every call fails."""

    offline, url, dir = False, "http://x", "somewhere/files"

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError(f"{name} failed with key {KEY}")


def test_a_failing_client_is_told_of_once_and_never_raises(tmp_path: Path):
    reporter = Remembers()
    sink = WandbSink(Broken(), tmp_path, reporter, finish_timeout=1)
    for step in range(5):
        sink.log(step, {"loss": 1.0})
    sink.summary({"a": 1})
    sink.artifact("x", "model", [tmp_path], {})
    sink.finish()
    warnings = [str(event) for event in reporter.events if event.kind == "warning"]
    assert len(warnings) == 3  # the first failure, the end, the count
    assert "6 calls" in warnings[-1] or "7 calls" in warnings[-1]
    assert KEY not in reporter.told("warning")


def test_an_artifact_the_server_refuses_costs_the_artifact_only(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    reporter = Remembers()
    sink = opened(tmp_path, reporter, init_timeout=20, finish_timeout=5)
    assert sink is not None
    began = time.monotonic()
    fill(sink, tmp_path)
    sink.finish()
    assert time.monotonic() - began < 20
    assert (30, 0.25) in [(row.get("train/step"), row.get("eval/loss")) for row in server.history()]


@pytest.mark.slow
def test_a_server_that_answers_with_errors_costs_no_offline_log(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    server.fails = "RunResumeStatus"  # it answers at first, and fails when the run is opened
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    reporter = Remembers()
    sink = opened(tmp_path, reporter, init_timeout=3, finish_timeout=5)
    assert sink is not None, reporter.events
    assert not sink.online
    sink.log(1, {"loss": 1.0})
    sink.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/run-bot-1234.wandb"))
    assert "kept offline" in reporter.told("warning")


def test_folders_are_left_out_of_paths_and_other_texts_stay():
    home = str(Path.home())
    assert without_paths({"/srv/team/a.csv": [f"{home}/b.csv", "c.csv", "a / b", 3]}) == {
        "a.csv": ["~/b.csv", "c.csv", "a / b", 3]
    }


def mirror_of(folder: Path, sink: Any) -> Mirror:
    lines = [{"step": step, "loss": 1.0 / step, "time": 1.0} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return Mirror(RunFolder(folder), [sink], Remembers())


def test_a_resumed_run_sends_the_steps_the_server_lacks(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    sink = opened(tmp_path, Remembers(), init_timeout=20, finish_timeout=20)
    assert sink is not None
    mirror_of(tmp_path, sink).caught_up()
    sink.finish()
    assert [row["train/step"] for row in server.history()] == [1, 2, 3]


def test_what_the_data_checks_found_is_a_table_and_holds_no_text_of_a_row(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    file = tmp_path / "hilfe.csv"
    file.write_bytes(messy.export())
    folder = RunFolder(tmp_path)
    prepare.prepare(Data(train=str(file)), 0, folder.data)
    desk_report.check_rows(folder.data / "train.jsonl", (), Silent()).write(folder.findings)
    sink = opened(tmp_path, Remembers(), init_timeout=20, finish_timeout=20)
    assert sink is not None
    mirror_of(tmp_path, sink).checked()
    sink.finish()
    sent = b"".join(content for name, content in server.uploaded.items() if "findings" in name)
    table = json.loads(sent)
    assert table["columns"][:3] == ["Check", "Severity", "What was found"]
    assert {"contradictions", "personal_data"} <= {row[0] for row in table["data"]}
    assert b"helga.muster" not in sent


def test_offline_the_steps_of_an_earlier_process_are_not_sent_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sink = opened(tmp_path, Remembers(), "offline")
    assert sink is not None
    mirror = mirror_of(tmp_path, sink)
    mirror.step(1, {"loss": 1.0})
    logged: list[float] = []
    monkeypatch.setattr(sink, "log", lambda step, values: logged.append(step))
    mirror.caught_up()
    sink.finish()
    assert logged == [2, 3]
