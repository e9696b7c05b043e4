"""Pushing with the real hub client against a loopback hub: what goes up, what never does, and what is said when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.app import exports
from studio.cli.main import run as studio
from studio.core.errors import ExportError, JobError
from studio.core.files import read_json, write_text
from studio.export.artifacts import push
from studio.export.artifacts.manifest import Artifact
from studio.export.verification.result import Verification
from tests.export import hub as hubs
from tests.export import made


@pytest.fixture(scope="module")
def server() -> Iterator[hubs.Hub]:
    found = hubs.Hub()
    running = hubs.serve(found)
    yield found
    running.shutdown()


@pytest.fixture
def hub(server: hubs.Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> hubs.Hub:
    from huggingface_hub import constants

    server.reset()
    for name, value in (
        ("ENDPOINT", server.url),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_DISABLE_XET", True),  # Xet's own protocol has no loopback server; the hub's LFS protocol is what is tried
        ("HF_TOKEN_PATH", str(tmp_path / "no-login")),
    ):
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", hubs.TOKEN)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("studio.tracking.secrets._from_keyring", lambda name: None)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return server


@pytest.fixture
def export(tmp_path: Path) -> Artifact:
    return made.make(tmp_path / "exports")


def sent(export: Artifact, name: str = "me/bot", public: bool = False) -> push.PushRecord:
    return push.send(push.prepare_upload(export.path, name, public))


def test_an_export_goes_up_in_one_commit_to_a_private_repository_and_is_recorded(hub: hubs.Hub, export: Artifact) -> None:
    record = sent(export)
    there = hub.repositories["me/bot"]
    assert there["private"]
    assert len(there["commits"]) == 1
    assert set(there["files"]) == {"artifact.json", *(file.path for file in export.files)}
    for file in export.files:
        assert there["files"][file.path] == (export.path / file.path).read_bytes()
    assert read_json(export.path / "pushed.json")["pushes"] == [record.model_dump()]
    assert record.commit == there["commits"][0]
    assert record.url == f"{hub.url}/me/bot"


def test_no_row_of_the_data_and_no_token_leaves_or_is_kept(hub: hubs.Hub, export: Artifact) -> None:
    assert made.ROW in (export.path / "artifact.json").read_text("utf-8")
    sent(export)
    assert all(made.ROW.encode() not in content for content in hub.repositories["me/bot"]["files"].values())
    assert json.loads(hub.repositories["me/bot"]["files"]["artifact.json"])["verification"]["checks"]
    assert f"Bearer {hubs.TOKEN}" in hub.headers
    assert all(hubs.TOKEN.encode() not in file.read_bytes() for file in export.path.rglob("*") if file.is_file())


def test_public_only_when_asked(hub: hubs.Hub, export: Artifact) -> None:
    sent(export, public=True)
    assert not hub.repositories["me/bot"]["private"]


def test_what_was_uploaded_before_an_interruption_is_not_sent_again(hub: hubs.Hub, export: Artifact) -> None:
    hub.break_upload = 1
    with pytest.raises(ExportError, match="400") as told:
        sent(export)
    assert "not sent twice" in told.value.hint
    assert not (export.path / "pushed.json").exists()
    assert hub.repositories["me/bot"]["commits"] == [], "half an upload is no commit"
    hub.break_upload = 0
    sent(export)
    assert len(hub.uploads) == len(set(hub.uploads)) == 2


def test_files_of_an_earlier_push_that_are_gone_are_removed_and_others_are_left(
    hub: hubs.Hub, export: Artifact, tmp_path: Path
) -> None:
    sent(export)
    hub.repositories["me/bot"]["files"]["NOTES.md"] = b"mine"
    single = made.make(tmp_path / "other")
    for part in (1, 2):
        (single.path / f"model-0000{part}-of-00002.safetensors").unlink()
    (single.path / "model.safetensors").write_text("one file")
    record = sent(_described(single))
    files = hub.repositories["me/bot"]["files"]
    assert record.removed == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert {"NOTES.md", "model.safetensors"} <= set(files)
    assert not set(record.removed) & set(files)


def test_another_export_pushed_to_the_same_repository_leaves_the_first_there(
    hub: hubs.Hub, export: Artifact, tmp_path: Path
) -> None:
    sent(export)
    record = sent(made.make(tmp_path / "exports", "gguf"))
    assert record.removed == []
    assert {"bot-q8_0.gguf", "config.json"} <= set(hub.repositories["me/bot"]["files"])


def _described(changed: Artifact) -> Artifact:

    from studio.export.artifacts import manifest as artifacts

    again = changed.with_values(files=artifacts.files_in(changed.path))
    artifacts.write(again, changed.path)
    return again


def test_an_unverified_export_is_refused_before_the_hub_is_asked(hub: hubs.Hub, tmp_path: Path) -> None:
    unverified = made.make(tmp_path / "exports", found=Verification(None, "llama.cpp", note="llama.cpp is not installed"))
    with pytest.raises(JobError, match=r"not verified: llama\.cpp is not installed"):
        sent(unverified)
    assert hub.asked == []


def test_an_export_that_only_its_device_can_run_goes_up_and_that_is_said(
    hub: hubs.Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = made.make(tmp_path / "exports", found=made.unrun())
    assert studio(["push", str(there.path), "--to", "me/bot", "--yes", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == "structure checked, not run"
    assert "structure checked, not run: it needs a phone" in err


def test_a_file_changed_after_its_verification_is_refused(hub: hubs.Hub, export: Artifact) -> None:
    name = export.files[-1].path
    text = (export.path / name).read_text("utf-8")
    write_text(export.path / name, "x" + text[1:])
    with pytest.raises(JobError, match="is not the file that was verified"):
        sent(export)
    assert hub.repositories == {}


@pytest.mark.parametrize(("there", "public", "said"), [(False, False, "is public"), (True, True, "is private")])
def test_a_repository_seen_by_others_than_asked_is_refused(
    hub: hubs.Hub, export: Artifact, there: bool, public: bool, said: str
) -> None:
    hub.repositories["me/bot"] = {"private": there, "files": {}, "commits": []}
    with pytest.raises(JobError, match=said):
        sent(export, public=public)
    assert hub.repositories["me/bot"]["files"] == {}


def test_a_wrong_token_another_s_namespace_and_a_missing_token_are_told_apart(
    hub: hubs.Hub, export: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExportError, match="403"):
        sent(export, "you/bot")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "wrong" * 5)
    with pytest.raises(ExportError, match="does not know this token") as told:
        sent(export)
    assert "wrongwrong" not in str(told.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(JobError, match="no token") as told:
        sent(export)
    assert "hf auth login" in told.value.hint


@pytest.mark.parametrize(("code", "said"), [(429, "fewer requests"), (404, "no such repository"), (500, "answered 500")])
def test_what_the_hub_refuses_is_told_with_what_to_do(hub: hubs.Hub, export: Artifact, code: int, said: str) -> None:
    hub.fail["/commit/"] = code
    with pytest.raises(ExportError, match=said) as told:
        sent(export)
    assert told.value.hint


def test_offline_is_told(hub: hubs.Hub, export: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ExportError, match="set offline") as told:
        sent(export)
    assert "HF_HUB_OFFLINE" in told.value.hint


def test_a_hub_that_is_not_there_is_told(hub: hubs.Hub, export: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ExportError, match="not reached"):
        sent(export)


@pytest.mark.parametrize("name", ["bot", "a/b/c", "../x/y", "me/bot bot", "me/--x", "hf_secret"])
def test_what_is_no_repository_name_is_refused(export: Artifact, name: str) -> None:
    with pytest.raises(JobError, match="not the name of a repository"):
        push.prepare_upload(export.path, name)


def test_without_yes_nobody_is_surprised(hub: hubs.Hub, export: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    assert studio(["push", str(export.path), "--to", "me/bot"]) == 2
    out, err = capsys.readouterr()
    assert "model-00001-of-00002.safetensors" in out
    assert "private" in out
    assert "--yes" in err
    assert hub.asked == []


def test_a_run_with_several_exports_asks_which(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "bot-1"
    write_text(run / "asked.yaml", "data: {train: a.csv}\n")
    with pytest.raises(JobError, match="has no export"):
        exports.export_folder("bot-1", None, tmp_path)
    for kind in ("merged", "gguf"):
        made.make(run / "exports", kind)
    with pytest.raises(JobError, match="several exports") as told:
        exports.export_folder("bot", None, tmp_path)
    assert "gguf-q8_0 | merged" in told.value.hint
    assert exports.export_folder("bot", "gguf", tmp_path).name == "gguf-q8_0"
    with pytest.raises(JobError, match="no export `mergd`") as told:
        exports.export_folder("bot", "mergd", tmp_path)
    assert "Did you mean `merged`" in told.value.hint
