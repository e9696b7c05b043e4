"""A loopback server that speaks enough of W&B's protocol for its real client, and a reporter that remembers."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from studio.core.events import Event
from studio.tracking.reporter import Silent


class Remembers(Silent):
    """Keeps its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def told(self, kind: str) -> str:
        return "\n".join(str(event) for event in self.events if event.kind == kind)


class Server(ThreadingHTTPServer):
    """Keeps every operation, streamed file and uploaded file it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.operations: list[tuple[str, dict[str, Any]]] = []
        self.streamed: list[dict[str, Any]] = []
        self.uploaded: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def history(self) -> list[dict[str, Any]]:
        lines = [
            item["files"]["wandb-history.jsonl"]["content"]
            for item in self.streamed
            if "wandb-history.jsonl" in (item.get("files") or {})
        ]
        return [json.loads(line) for part in lines for line in part]

    def variables(self, operation: str) -> dict[str, Any]:
        return next(variables for name, variables in self.operations if operation in name)


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer({}, 404)

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self.server.uploaded[self.path] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/graphql"):
            asked = json.loads(body)
            self.server.operations.append((asked["query"], asked.get("variables") or {}))
            self._answer({"data": self._data(asked["query"], asked.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            self.server.streamed.append(json.loads(body))
            self._answer({})
        else:
            self._answer({})

    def _data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "query Viewer" in query:
            return {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if "RunResumeStatus" in query:
            return {"model": None}
        if "UpsertBucket" in query:
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": variables["name"], "sweepName": None, "config": "{}"}
            return {"upsertBucket": {"bucket": {**bucket, "project": project, "historyLineCount": 0}, "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.server.address}/store/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
