"""An adapter on the hub is downloaded by its commit, safetensors only, and what is wrong is said in Studio's words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import hub_adapters

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "me/bot": {"adapter_config.json": b'{"peft_type": "LORA"}', "adapter_model.safetensors": b"weights"},
    "me/pickled": {"adapter_config.json": b"{}"},
    "me/model": {"config.json": b"{}"},
}


class _Hub(BaseHTTPRequestHandler):
    def log_message(self, *values: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass

    def do_GET(self) -> None:
        owner, name, _, revision, file = self.path.strip("/").split("/")
        content = FILES.get(f"{owner}/{name}", {}).get(file)
        code = "RepoNotFound" if f"{owner}/{name}" not in FILES else "EntryNotFound" if content is None else ""
        code = code or ("RevisionNotFound" if revision not in ("main", COMMIT) else "")
        self.send_response(404 if code else 200)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("ETag", f'"{owner}-{name}-{file}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content or b"") if not code else 0))
        self.end_headers()
        if self.command == "GET" and content and not code:
            self.wfile.write(content)

    do_HEAD = do_GET


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def test_it_is_a_folder_called_as_its_commit_and_served_from_the_cache_afterwards(hub: ThreadingHTTPServer):
    folder = hub_adapters.download("hub:me/bot")
    assert folder.name == COMMIT
    assert (folder / "adapter_model.safetensors").read_bytes() == b"weights"
    hub.shutdown()
    hub.server_close()
    assert hub_adapters.download(f"hub:me/bot@{COMMIT}") == folder


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("hub:me/nothing", "no such repository", "Check the name"),
        ("hub:me/pickled", "it holds no adapter_model.safetensors", "can run any code"),
        ("hub:me/model", "it holds no adapter_config.json", "not of a model"),
        ("hub:me/bot@v9", "no revision `v9`", "after the @"),
        ("hub:bot", "names no repository", "hub:OWNER/NAME"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(hub: ThreadingHTTPServer, name: str, message: str, hint: str):
    with pytest.raises(ModelError, match=message) as found:
        hub_adapters.download(name)
    assert hint in found.value.hint
    assert found.value.where == name


def test_a_run_names_the_commit_it_started_from(hub: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from studio import planner
    from studio.planner import starting
    from studio.runs import folder as folders
    from studio.spec import RunSpec

    monkeypatch.setattr(starting, "settled", lambda spec, start, base: spec)
    run = folders.create(RunSpec(data={"train": "rows.jsonl"}, adapter={"start_from": "hub:me/bot"}), tmp_path / "home")
    spec = planner.take_start(run.asked_spec(), run)
    assert spec.adapter.start_from == f"hub:me/bot@{COMMIT}"
    assert (run.start / "adapter_model.safetensors").read_bytes() == b"weights"


def test_a_hub_that_does_not_answer_is_not_waited_for(hub: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch):
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waited {seconds} s to ask again"))
    with pytest.raises(ModelError, match="the hub cannot be reached, and this adapter is not on this machine"):
        hub_adapters.download("hub:me/bot")
