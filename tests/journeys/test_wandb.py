"""A whole run, read back from nothing but what a W&B server was sent by the real client."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.export import hub as hubs
from tests.journeys.conftest import ROOT, SMALL, Ended, studio
from tests.tracking.conftest import Server

KEY = "c0ffee" * 6 + "abcd"
SPEC: dict[str, Any] = {
    **SMALL,
    "training": {"epochs": 1, "batch_size": 16, "eval_every": 2, "save_every": 4},
    "evaluation": {"max_rows": 2, "general": "off", "samples": 1, "resamples": 100, "while_training": 2},
    "tracking": {
        "wandb": "online", "trackio": "on", "group": "nightly", "tags": ["small"], "note": "first try",
        "include": ["checkpoints"],
    },
    "export": [{"kind": "adapter"}],
}  # fmt: skip
TIMED = ("_runtime", "_timestamp", "_wandb", "train/tokens_per_second", "train/memory", "training/seconds")
"""Names whose values differ from run to run of one spec."""

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def made(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A run that was trained online by both trackers, then evaluated again, exported and pushed."""
    patch, folder, home = pytest.MonkeyPatch(), desk / "tracked", tmp_path_factory.mktemp("tracked-home")
    server, hub = Server(), hubs.Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    repositories = hubs.serve(hub)
    variables = {
        "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.address, "TRACKIO_DIR": str(home / "trackio"),
        "HF_ENDPOINT": hub.url, "HF_TOKEN": hubs.TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    for name, value in variables.items():
        patch.setenv(name, value)
    patch.delenv("WANDB_MODE", raising=False)
    folder.mkdir()
    shutil.copy(desk / "support.csv", folder)
    ended = train(folder, home)
    assert ended.code == 0, ended.err
    run = Path(ended.json["folder"])
    trained = len(server.operations)
    for words in (
        ["eval", run],
        ["export", run, "--to", "merged"],
        ["push", run, "--target", "adapter", "--to", "me/bot", "--yes"],
    ):
        later = studio(*words, "--json", home=home, cwd=folder)
        assert later.code == 0, (words, later.err)
        assert later.json is not None, "nothing but the document is on stdout"
    yield {"run": run, "server": server, "home": home, "desk": folder, "trained": trained}
    patch.undo()
    for running in (server, repositories):
        running.shutdown()
        running.server_close()


def train(desk: Path, home: Path, **tracking: Any) -> Ended:
    spec = {**SPEC, "tracking": {**SPEC["tracking"], **tracking}}
    (desk / "tracked.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return studio("train", "tracked.yaml", "--json", home=home, cwd=desk)


def test_what_was_trained_on_what_and_how_well_is_read_from_w_and_b_alone(made: dict[str, Any]) -> None:
    run, server = made["run"], made["server"]
    warnings = [line for line in (run / "events.jsonl").read_text().splitlines() if '"warning"' in line]
    assert not [line for line in warnings if "W&B" in line or "Trackio" in line or "tracker" in line]
    asked, config = server.variables("UpsertBucket"), server.config()
    lock = json.loads((run / "lock.json").read_text())
    assert (asked["groupName"], asked["jobType"], asked["tags"], asked["notes"]) == ("nightly", "train", ["small"], "first try")
    assert config["spec"]["training"]["epochs"] == 1
    assert config["lock"]["data"] == {"support.csv": next(iter(lock["data"].values()))}

    used = [variables["input"]["runName"] for name, variables in server.operations if "useArtifact(" in name]
    collections = [
        variables["input"]["artifactCollectionName"] for name, variables in server.operations if "createArtifact(" in name
    ]
    assert used[:2] == [run.name] * 2
    assert collections[:2] == ["dataset-support", "base-starter"], "what other runs on them name, too"

    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [(row["step"], row["loss"]) for row in logged if "loss" in row]
    history = server.history()
    assert [(row["train/step"], row["train/loss"]) for row in history if "train/loss" in row] == steps

    report = json.loads((run / "evaluation" / "report.json").read_text())
    summary = server.summary()
    found = report["sets"][0]["metrics"]["token_f1"]
    assert summary["verdict"] == report["verdict"]["text"]
    assert summary["held-out/token_f1/change"] == found["change"]["value"]
    assert summary["held-out/token_f1/change_low"] == found["change"]["low"]
    assert summary["memory/peak_bytes"] == json.loads((run / "training.json").read_text())["peak_memory_bytes"]
    assert summary["memory/predicted_bytes"] > 0
    assert summary["export/adapter/status"] == "verified"
    assert summary["state"] == "done"
    card = next(body for path, body in server.uploaded.items() if body.startswith(b"---\n") and b"library_name: peft" in body)
    assert b"# journey" in card
    assert server.alerts() == [("journey is done", "INFO")]
    sent = server.everything()
    assert KEY.encode() not in sent
    assert hubs.TOKEN.encode() not in sent
    without_manifests = server.everything(but="/store/manifest")  # the client writes into them where the files lay
    assert str(made["desk"]).encode() not in without_manifests
    assert str(made["home"]).encode() not in without_manifests


def test_the_answers_of_each_evaluation_are_seen_to_change(made: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in (made["run"] / "evaluation" / "samples.jsonl").read_text().splitlines()]
    measured = [json.loads(line) for line in (made["run"] / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [row["step"] for row in measured if "eval_loss" in row for _ in range(2)]
    table = [body for path, body in made["server"].uploaded.items() if "samples%20while%20training" in path][-1]
    assert lines[-1]["question"].encode() in table


def test_what_is_done_with_a_run_later_is_added_to_the_same_run(made: dict[str, Any]) -> None:
    run, server = made["run"], made["server"]
    later = [variables for name, variables in server.operations[made["trained"] :] if "UpsertBucket" in name]
    assert {variables["name"] for variables in later} == {run.name}
    assert len(later) >= 3
    assert server.summary()["export/adapter/pushed"].startswith("me/bot")
    assert any("export/merged/status" in line for line in server.lines("wandb-summary.json"))
    assert [list(line) for line in server.history() if "evidence" in line] != []
    assert server.exit_codes() == [0, 0, 0, 0]


def listed() -> list[tuple[str, str, str]]:
    """Where, name and when of every row of the list in the docs."""
    page = (ROOT / "docs" / "tracking.md").read_text()
    page = page[page.index("### Every name") : page.index("## Sweeps")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")]
    return [(where, name, when) for where, name, _, when in rows[1:]]


def received(server: Server) -> dict[str, set[str]]:
    """Every name that the server got, by where it was."""
    asked = server.variables("UpsertBucket")
    config = server.config()
    names = {f"lock.{name}" for name in config["lock"]} | config.keys() - {"lock"}
    history = {name for line in server.history() for name in line}
    summary = {name for line in server.lines("wandb-summary.json") for name in line}
    files = {f"{kind}: {file}" for kind, inside in server.artifacts().items() for file in inside}
    uploaded = {re.sub(r"^/store/", "", path) for path in server.uploaded}
    return {
        "run": {name for name, value in asked.items() if value is not None and name != "config"},
        "config": names,
        "history": history,
        "system": {name for line in server.system() for name in line},
        "summary": summary - history,
        "artifact": files,
        "file": {path for path in uploaded if not re.match(r"artifact-|manifest-", path)},
        "alert": {title for title, _ in server.alerts()},
    }


def patterns(where: str, name: str) -> list[str]:
    """What a row of the list stands for, as expressions."""
    quoted = re.findall(r"`([^`]+)`", name)
    if where == "artifact":
        quoted = [f"{quoted[0]}: {file}" for file in quoted[1:]]
    wide = "[^/]+" if where != "system" and where != "file" else ".+"
    return [re.sub(r"<\w+>", wide, re.escape(text).replace(r"\<", "<").replace(r"\>", ">")) for text in quoted]


def test_exactly_what_the_docs_list_is_sent(made: dict[str, Any]) -> None:
    got = received(made["server"])
    rare = ("with made rows", "with rows that people corrected or rated", "if so", "if there is one")
    elsewhere = ("with a GPU", "with `include: [git]`", "long runs", *rare)
    rows = [(where, name, when) for where, name, when in listed() if when != "other methods" and "`" in name]
    for where, names in got.items():
        known = [expression for row, name, _ in rows if row == where for expression in patterns(where, name)]
        unlisted = {name for name in names if not any(re.fullmatch(expression, name) for expression in known)}
        assert unlisted == set(), f"sent and not listed: {where}"
    for where, name in [(where, name) for where, name, when in rows if when not in elsewhere]:
        for expression in patterns(where, name):
            assert any(re.fullmatch(expression, item) for item in got[where]), f"listed and not sent: {where} {name}"


def test_trackio_has_the_same_run(made: dict[str, Any]) -> None:
    program = (
        "import json,sys; from trackio.sqlite_storage import SQLiteStorage as Store; run = Store.get_runs('studio')[0];"
        "json.dump([run, Store.get_logs('studio', run), [i['type'] for i in Store.get_artifacts('studio')],"
        " [a['title'] for a in Store.get_alerts('studio')]], sys.stdout, default=str)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    run, logs, artifacts, alerts = json.loads(ended.stdout)
    server = made["server"]
    assert run == made["run"].name
    here = [(row["train/step"], row["train/loss"]) for row in logs if "train/loss" in row]
    assert here == [(row["train/step"], row["train/loss"]) for row in server.history() if "train/loss" in row]
    figures = {name for row in logs for name, value in row.items() if isinstance(value, int | float)}
    missing = {name for name, value in server.summary().items() if isinstance(value, int | float)} - figures
    assert {name for name in missing if not name.startswith("_")} == set()
    assert {"dataset", "base-model", "model", "checkpoint", "export"} <= set(artifacts)
    assert alerts == ["journey is done"]


def test_syncing_the_offline_folder_gives_what_online_would_have_given(made: dict[str, Any], tmp_path: Path) -> None:
    ended = train(made["desk"], tmp_path, wandb="offline", trackio="off")
    assert ended.code == 0, ended.err
    (folder,) = Path(ended.json["folder"]).glob("wandb/offline-run-*")
    later = Server()
    threading.Thread(target=later.serve_forever, daemon=True).start()
    environment = {**os.environ, "WANDB_BASE_URL": later.address}
    command = [str(Path(sys.executable).parent / "wandb"), "sync", str(folder)]
    synced = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert synced.returncode == 0, synced.stderr
    online = made["server"]
    run = made["run"].name

    def same(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        plain = [{name: value for name, value in line.items() if name not in TIMED} for line in lines]
        return [{name: value for name, value in line.items() if not isinstance(value, dict)} for line in plain]

    trained = [line for line in online.history(run) if "train/step" in line and line.get("_step", 0) < 20]
    there = [line for line in later.history() if "train/step" in line]
    assert same(there) == same(trained[: len(there)])
    assert {name for name in later.summary() if "/" in name} >= {
        name for name in online.summary() if "/" in name and "merged" not in name and "pushed" not in name
    }
    assert later.config()["spec"]["training"] == online.config()["spec"]["training"]
    inputs = {"dataset", "base-model"}  # the client links them only online
    assert {kind: files for kind, files in later.artifacts().items() if kind != "run_table"} == {
        kind: files for kind, files in online.artifacts().items() if kind not in inputs and kind != "run_table"
    }
    later.shutdown()
    later.server_close()


def test_a_run_killed_early_is_resumed_on_another_machine_and_no_step_is_missing(made: dict[str, Any], tmp_path: Path) -> None:
    server, desk = made["server"], made["desk"]
    spec = {
        **SPEC,
        "name": "killed",
        "tracking": {"wandb": "online"},
        "export": [],
        "evaluation": {**SPEC["evaluation"], "while_training": 0},
    }
    spec["training"] = {**SPEC["training"], "epochs": 8, "save_every": 2}
    (desk / "killed.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    command = [sys.executable, "-m", "studio", "train", "killed.yaml", "--home", str(tmp_path / "here")]
    following = subprocess.Popen(command, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while len(list((tmp_path / "here").glob("runs/*/checkpoints/*/progress.json"))) < 1:
        assert time.monotonic() < end, "no checkpoint in time"
        time.sleep(0.05)
    (folder,) = (tmp_path / "here" / "runs").iterdir()
    os.kill(json.loads((folder / "status.json").read_text())["process"]["pid"], signal.SIGKILL)
    following.wait(timeout=600)
    elsewhere = tmp_path / "there"
    shutil.move(tmp_path / "here", elsewhere)
    resumed = studio("runs", "resume", folder.name, "--json", home=elsewhere, cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    logged = [json.loads(line) for line in (elsewhere / "runs" / folder.name / "metrics.jsonl").read_text().splitlines()]
    wanted = {row["step"]: row["loss"] for row in logged if "loss" in row}
    sent = {row["train/step"]: row["train/loss"] for row in server.history(folder.name) if "train/loss" in row}
    assert sent == wanted
    assert server.summary(folder.name)["state"] == "done"


def test_the_real_agent_of_a_sweep_calls_the_command_as_it_is(made: dict[str, Any], tmp_path: Path) -> None:
    server, desk = made["server"], made["desk"]
    spec = {**SPEC, "name": "swept", "tracking": {"wandb": "auto"}, "export": []}
    spec["training"], spec["evaluation"] = (
        {"batch_size": 8, "max_steps": 1},
        {"max_rows": 1, "general": "off", "resamples": 100},
    )
    (desk / "swept.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    values = {"training.learning_rate": 0.002, "adapter.rank": 4}
    server.sweep_command = [sys.executable, "-m", "studio", "train", "swept.yaml", "${args_no_hyphens}"]
    server.sweep = [
        {"type": "run", "run_id": "sweep0run1", "program": "studio", "args": {k: {"value": v} for k, v in values.items()}}
    ]
    command = [str(Path(sys.executable).parent / "wandb"), "agent", "--count", "1", "me/studio/sweep1"]
    environment = {**os.environ, "STUDIO_HOME": str(tmp_path), "WANDB_DIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=desk, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert ended.returncode == 0, ended.stderr
    asked = next(
        variables for _, variables in server.operations if variables.get("name") == "sweep0run1" and "config" in variables
    )
    assert asked["sweep"] == "sweep1"
    assert (asked["jobType"], asked["tags"]) == ("train", ["sweep-sweep1"])
    spec = server.config("sweep0run1")["spec"]
    assert (spec["training"]["learning_rate"], spec["adapter"]["rank"]) == (0.002, 4)
    assert server.summary("sweep0run1")["eval/loss"] > 0
    assert server.summary("sweep0run1")["state"] == "done"
