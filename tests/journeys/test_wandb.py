"""A whole run, read back from nothing but what a W&B server was sent by the real client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.journeys.conftest import SMALL, Ended, studio
from tests.tracking.conftest import Server, server

__all__ = ["server"]
KEY = "c0ffee" * 6 + "abcd"
SPEC: dict[str, Any] = {
    **SMALL,
    "training": {"epochs": 1, "batch_size": 16, "eval_every": 2},
    "evaluation": {"max_rows": 2, "general": "off", "samples": 1, "resamples": 100},
    "tracking": {"wandb": "online", "group": "nightly"},
    "export": [{"kind": "adapter"}],
}


pytestmark = pytest.mark.torch


@pytest.fixture
def online(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that commands are pointed at by their environment."""
    for name, value in {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.address}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return server


def train(desk: Path, home: Path) -> Ended:
    (desk / "tracked.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    return studio("train", "tracked.yaml", "--json", home=home, cwd=desk)


def test_what_was_trained_on_what_and_how_well_is_read_from_w_and_b_alone(desk: Path, tmp_path: Path, online: Server):
    ended = train(desk, tmp_path / "home")
    assert ended.code == 0, ended.err
    run = Path(ended.json["folder"])
    assert "W&B" not in (run / "events.jsonl").read_text()
    asked = online.variables("UpsertBucket")
    config = {name: item["value"] for name, item in json.loads(asked["config"]).items() if name != "_wandb"}
    lock = json.loads((run / "lock.json").read_text())
    assert (asked["groupName"], asked["jobType"]) == ("nightly", "train")
    assert config["spec"]["training"]["epochs"] == 1
    assert config["lock"]["data"] == {"support.csv": next(iter(lock["data"].values()))}
    assert "git" not in config["lock"]

    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [(row["step"], row["loss"]) for row in logged if "loss" in row]
    history = online.history()
    assert [(row["train/step"], row["train/loss"]) for row in history if "train/loss" in row] == steps

    report = json.loads((run / "evaluation" / "report.json").read_text())
    summary = online.summary()
    found = report["sets"][0]["metrics"]["token_f1"]
    assert summary["verdict"] == report["verdict"]["text"]
    assert summary["held-out/token_f1/change"] == found["change"]["value"]
    assert summary["held-out/token_f1/change_low"] == found["change"]["low"]
    assert summary["memory/peak_bytes"] == json.loads((run / "training.json").read_text())["peak_memory_bytes"]
    assert summary["memory/predicted_bytes"] > 0
    assert summary["export/adapter/status"] == "verified"
    assert summary["state"] == "done"
    assert {row["_type"] for row in summary.values() if isinstance(row, dict) and "_type" in row} == {"table-file", "html-file"}

    artifacts = online.artifacts()
    assert sorted(artifacts) == ["base-model", "dataset", "export", "model", "run_table"]
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= artifacts["model"]

    assert "is done" in str([variables for name, variables in online.operations if "NotifyScriptableRunAlert" in name])
    sent = online.everything()
    assert KEY.encode() not in sent
    assert str(desk).encode() not in sent
    without_manifests = online.everything(but="/store/manifest")  # the client writes into them where the files lay
    assert str(tmp_path).encode() not in without_manifests

    before = len(online.operations)
    exported = studio("export", run, "--to", "adapter", "--json", home=tmp_path / "home", cwd=desk)
    assert exported.code == 0, exported.err
    later = [variables for name, variables in online.operations[before:] if "UpsertBucket" in name]
    assert {variables["name"] for variables in later} == {run.name}, "a later export goes to the same W&B run"
    assert online.summary()["export/adapter/status"] == "verified"
