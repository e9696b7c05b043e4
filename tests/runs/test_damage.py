"""What a damaged, full or vanished disk does to runs: one row says what is wrong, and everything else goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest

from studio import worker
from studio.app import damage as upkeep
from studio.app import overview, queue, runs, servers
from studio.cli.main import run as command
from studio.core.records import RecordError
from studio.processes import terminate
from studio.runs import environment, lifecycle, reserve, slot, status, supervisor
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.recorder import FolderRemoved, Recorder
from studio.spec import parse

SPEC = parse({"name": "bot", "data": {"train": "/missing.csv"}})
FILES = [
    "status.json", "launch.json", "spec.yaml", "asked.yaml", "evaluation/report.json", "exports/merged/artifact.json",
    "metrics.jsonl", "notes.json",
]  # fmt: skip
DAMAGES = {"empty": b"", "zeros": b"\0" * 200, "half": b'{"state": "do', "garbage": b"\xff\xfe{]", "another type": b"[1, 2]\n"}


def rows_file(folder: Path) -> str:
    """A data file that can be queued."""
    file = folder / "rows.jsonl"
    file.write_text('{"question": "a?", "answer": "b"}\n')
    return str(file)


def ended(root: Path) -> RunFolder:
    """A run that ended, as its recorder writes it."""
    folder = folders.create(SPEC, root)
    recorder = Recorder(folder)
    with recorder.stage("training"):
        recorder.metrics(1, loss=2.5)
    recorder.end("done")
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_one_damaged_file_costs_its_run_alone_and_the_run_can_be_deleted(tmp_path: Path, name: str, damage: str) -> None:
    healthy, damaged = ended(tmp_path), ended(tmp_path)
    file = damaged.path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(DAMAGES[damage])
    rows = {row.id: row for row in overview.rows(tmp_path)}
    assert rows[healthy.id].error is None
    assert rows[healthy.id].loss == 2.5
    assert damaged.id in rows
    error = rows[damaged.id].error
    if name not in ("metrics.jsonl", "notes.json"):
        assert error is None or "damaged" in error.message
    if error is not None:
        assert name in error.message
    assert [run.summary().state for run in runs.list_runs(tmp_path)]
    assert supervisor.any_active(tmp_path) is False
    assert supervisor.start_next(tmp_path) is None
    assert runs.delete(runs.find(damaged.id, tmp_path)) > 0
    assert [run.id for run in runs.list_runs(tmp_path)] == [healthy.id]


def test_the_list_of_runs_names_the_damaged_file_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    healthy, damaged = ended(tmp_path), ended(tmp_path)
    damaged.launch.write_text("[1, 2]\n")
    assert command(["runs", "list", "--home", str(tmp_path)]) == 0
    shown = " ".join("".join(capsys.readouterr()).split())
    assert f"{damaged.id}: damaged: launch.json: expected a JSON object" in shown
    assert "→ Set that file aside: studio doctor --repair" in shown
    assert f"{healthy.id}: " not in shown


def test_a_run_whose_status_was_set_aside_is_what_its_events_say(tmp_path: Path) -> None:
    done, killed = ended(tmp_path), folders.create(SPEC, tmp_path)
    with contextlib.suppress(KeyboardInterrupt), Recorder(killed).stage("training"):
        raise KeyboardInterrupt
    for folder in (done, killed):
        folder.status.write_text("garbage")
    assert {file.name for _, file in upkeep.repair(tmp_path)} == {"status.json"}
    assert status.read(done).state == "done"
    now = status.read(killed)
    assert now.state == "interrupted"
    assert "studio runs resume" in now.error.hint  # type: ignore[union-attr]
    never = folders.create(SPEC, tmp_path)
    assert status.read(never).state == "queued"


def test_a_damaged_run_does_not_keep_the_queue_from_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ensure", lambda root: None)
    spec = parse({"data": {"train": rows_file(tmp_path)}})
    first, second = queue.submit(spec, tmp_path), queue.submit(spec, tmp_path)
    first.folder.launch.write_text("[1]")
    started: list[str] = []
    monkeypatch.setattr(lifecycle, "launch", lambda folder, environment=None: started.append(folder.id))
    assert [supervisor.start_next(tmp_path), supervisor.start_next(tmp_path)] == [first.id, second.id]
    assert started == [second.id]
    assert status.read(first.folder).state == "failed"
    assert "damaged" in status.read(first.folder).error.message  # type: ignore[union-attr]


def test_a_run_whose_folder_was_removed_ends_and_does_not_come_back(tmp_path: Path) -> None:
    folder = folders.create(SPEC, tmp_path)
    recorder = Recorder(folder)
    shutil.rmtree(folder.path)
    for work in (lambda: recorder.metrics(1, loss=1.0), lambda: recorder.progress(1, 1), recorder.should_stop):
        with pytest.raises(FolderRemoved):
            work()
    assert not folder.path.exists()
    now = lifecycle.wait_for_end(folder, 60)  # whoever follows it is told at once, and does not wait for ever
    assert now.state == "interrupted"
    assert now.error.message == "the run folder was removed"  # type: ignore[union-attr]


def test_a_home_is_its_owners_and_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        folder = folders.create(SPEC, tmp_path / "home")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.asked.stat().st_mode) == 0o640


def test_a_queued_run_has_the_environment_of_who_asked_and_no_secret_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ensure", lambda root: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-of-forty-characters-aaaaaaaaaaaa")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy:1")
    run = queue.submit(parse({"data": {"train": rows_file(tmp_path)}}), tmp_path)
    for file in tmp_path.rglob("*"):
        if not file.is_file():
            continue
        assert b"a-secret" not in file.read_bytes()
        assert b"password" not in file.read_bytes()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("WANDB_PROJECT")
    monkeypatch.setenv("WANDB_ENTITY", "the supervisor's")
    passed: list[dict[str, str]] = []
    monkeypatch.setattr(lifecycle, "launch", lambda folder, environment: passed.append(environment))
    assert supervisor.start_next(tmp_path) == run.id
    assert passed[0]["CUDA_VISIBLE_DEVICES"] == "1"
    assert passed[0]["WANDB_PROJECT"] == "mine"
    assert "WANDB_ENTITY" not in passed[0]
    assert passed[0]["PATH"] == os.environ["PATH"]
    assert passed[0]["WANDB_API_KEY"] == os.environ["WANDB_API_KEY"], "the supervisor was started with the same"


def test_a_queued_run_takes_no_secret_of_a_supervisor_that_another_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ensure", lambda root: None)
    monkeypatch.setenv("WANDB_API_KEY", "mine" * 10)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    queue.submit(parse({"data": {"train": rows_file(tmp_path)}}), tmp_path)
    passed: list[dict[str, str]] = []
    monkeypatch.setattr(lifecycle, "launch", lambda folder, environment: passed.append(environment))
    monkeypatch.setenv("WANDB_API_KEY", "another's" * 5)
    monkeypatch.setenv("HF_TOKEN", "hf_" + "another" * 4)
    supervisor.start_next(tmp_path)
    assert {"WANDB_API_KEY", "HF_TOKEN"} & passed[0].keys() == set()


def test_a_secret_that_a_queued_run_would_not_have_is_named(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("studio.tracking.secrets._from_keyring", lambda name: None)
    assert environment.left_behind({}) == ["WANDB_API_KEY"]
    assert environment.left_behind(environment.marks()) == [], "the supervisor has the same"
    monkeypatch.setattr("studio.tracking.secrets._from_keyring", lambda name: "k" * 40)
    assert environment.left_behind({}) == [], "the keyring has it"


def test_the_key_of_a_judge_is_that_of_who_asked_or_none(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ensure", lambda root: None)
    monkeypatch.setattr("studio.tracking.secrets._from_keyring", lambda name: None)
    passed: list[dict[str, str]] = []
    monkeypatch.setattr(lifecycle, "launch", lambda folder, environment: passed.append(environment))
    judges = ({"model": "https://openrouter.ai/api/v1#m"}, {"model": "https://judge.example.com/v1#m", "key": "OUR_JUDGE"})
    for judge, name in zip(judges, ("OPENROUTER_API_KEY", "OUR_JUDGE"), strict=True):
        asked = parse({"data": {"train": rows_file(tmp_path)}, "evaluation": {"judge": judge}})
        monkeypatch.setenv(name, "mine" * 10)
        assert name in queue.secrets_left_behind(asked, tmp_path)
        queue.submit(asked, tmp_path)
        supervisor.start_next(tmp_path)
        assert passed[-1][name] == "mine" * 10, "the supervisor has the same"
        queue.submit(asked, tmp_path)
        monkeypatch.setenv(name, "another's" * 5)
        supervisor.start_next(tmp_path)
        assert name not in passed[-1]


def test_an_address_with_a_token_in_it_does_not_go_with_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"TRACKIO_DIR": "/data/trackio", "TRACKIO_SERVER_URL": "http://host:7860/?write_token=secret"}
    assert environment.of_asker(asked) == {"TRACKIO_DIR": "/data/trackio"}


def test_one_device_is_one_for_all_homes_and_users_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slot.VARIABLE, str(tmp_path / "locks"))
    order: list[str] = []
    with slot.slot("GPU-1", "run of home one", lambda: False, order.append):
        assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o1777
        (tmp_path / "locks" / "GPU-1.lock").chmod(0o444)  # another user's
        waits = threading.Thread(target=_wait_for_slot, args=(order,))
        waits.start()
        assert terminate.wait(lambda: bool(order), 10)
        order.append("first ends")
    waits.join(10)
    assert order == ["run of home one", "first ends", "second runs"]


def _wait_for_slot(order: list[str]) -> None:
    with slot.slot("GPU-1", "run of home two", lambda: False, order.append):
        order.append("second runs")


def test_what_a_killed_preparation_left_is_removed_when_the_run_goes_on(tmp_path: Path) -> None:

    folder = folders.create(SPEC, tmp_path)
    (folder.data / ".held-out.tokens.1a2b").mkdir(parents=True)
    (folder.data / "train.jsonl").write_text("{}\n")
    reserve.make(folder.reserve)
    worker.sweep(folder)
    assert sorted(file.name for file in folder.data.iterdir()) == ["train.jsonl"]
    assert folder.reserve.exists()


def test_a_run_that_dies_at_its_start_quotes_the_last_line_of_its_log(tmp_path: Path) -> None:
    folder = folders.create(SPEC, tmp_path)
    Recorder(folder)
    record = json.loads(folder.status.read_text())
    record["process"]["start_ticks"] += 1
    folder.status.write_text(json.dumps(record))
    folder.log.write_text("Traceback\nImportError: libcudart.so.12 cannot be opened, token hf_abcdefghijklmnopqrst\n")
    folder.exit.write_text(json.dumps({"code": 1, "time": time.time(), "pid": 1}))
    message = status.read(folder).error.message  # type: ignore[union-attr]
    assert "libcudart.so.12" in message
    assert "hf_abc" not in message


@pytest.mark.parametrize("name", ["launch.json", "spec.yaml", "evaluation/report.json"])
def test_a_run_with_a_file_of_a_newer_release_says_to_update_and_names_no_class(tmp_path: Path, name: str) -> None:
    folder = ended(tmp_path)
    file = folder.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"version": 99}')
    error = next(run.summary().error for run in runs.list_runs(tmp_path) if run.id == folder.id)
    assert error is not None
    assert "newer release" in error.message
    assert "RecordError" not in error.message
    assert error.hint.startswith("Update Studio")


def test_a_status_of_a_newer_release_is_refused_by_name_and_one_of_an_older_release_is_read(tmp_path: Path) -> None:
    folder = folders.create(SPEC, tmp_path)
    Recorder(folder).end("done")
    record = json.loads(folder.status.read_text())
    folder.status.write_text(json.dumps({**record, "version": 99}))
    now = status.read(folder)
    assert now.state == "failed"
    assert now.error is not None
    assert "newer release of Studio (version 99" in now.error.message
    assert "Update Studio" in now.error.hint
    older = {name: value for name, value in record.items() if name not in ("version", "process_started")}
    folder.status.write_text(json.dumps({**older, "process": {"pid": 1, "born": 1.0}}))
    assert status.read(folder).state == "done"


def test_a_process_that_bitsandbytes_ended_for_want_of_gpu_memory_is_said_to_have_run_out_of_it(tmp_path: Path) -> None:
    folder = folders.create(SPEC, tmp_path)
    folder.exit.write_text(json.dumps({"code": 1}))
    folder.log.write_text("loading\nError out of memory at line 380 in file /src/csrc/ops.cu\n")
    cause = status._cause(folder, status.Status(state="training"))
    assert "the GPU ran out of memory while training inside bitsandbytes" in cause.message
    assert "training.micro_batch" in cause.hint


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_plan_report_or_manifest_is_an_error_with_a_hint_and_hides_no_other_choice(
    tmp_path: Path, damage: str
) -> None:
    run = runs.find(ended(tmp_path).id, tmp_path)
    manifest = run.folder.exports / "merged" / "artifact.json"
    for file in (run.folder.plan, run.folder.report, manifest):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(DAMAGES[damage])
    for look in (lambda: run.plan, lambda: run.report, run.folder.artifacts):
        with pytest.raises(RecordError, match="damaged") as refused:
            look()
        assert refused.value.hint
    assert servers.choices(tmp_path) == [("starter, as shipped", "starter")]
