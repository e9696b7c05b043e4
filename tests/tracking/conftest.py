"""A loopback server that speaks enough of W&B's protocol for its real client, and a reporter that remembers."""

from __future__ import annotations

import gzip
import json
import sys
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

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, as W&B's does at the end, is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.operations: list[tuple[str, dict[str, Any]]] = []
        self.streamed: list[dict[str, Any]] = []
        self.uploaded: dict[str, bytes] = {}
        self.fails = ""
        """The operation it answers with a server error."""
        self.sweep: list[dict[str, Any]] = []
        """Commands for the agent of the sweep `sweep`, one at a time."""
        self.sweep_command: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def history(self, run: str = "") -> list[dict[str, Any]]:
        """The logged lines, of one run or of all."""
        return self.lines("wandb-history.jsonl", run)

    def system(self) -> list[dict[str, Any]]:
        """The lines about the machine."""
        return self.lines("wandb-events.jsonl")

    def summary(self, run: str = "") -> dict[str, Any]:
        """The last summary that was streamed."""
        return self.lines("wandb-summary.json", run)[-1]

    def exit_codes(self) -> list[int]:
        """How each run that has ended did."""
        return [item["exitcode"] for item in self.streamed if item.get("complete")]

    def config(self, run: str = "") -> dict[str, Any]:
        """The last config that was sent."""
        sent = [v for v in self.sent("UpsertBucket") if v.get("config") and (not run or v["name"] == run)]
        return {name: item["value"] for name, item in json.loads(sent[-1]["config"]).items()}

    def alerts(self) -> list[tuple[str, str]]:
        """Title and severity of every alert."""
        return [(item["title"], item["severity"]) for item in self.sent("NotifyScriptableRunAlert")]

    def lines(self, file: str, run: str = "") -> list[dict[str, Any]]:
        parts = [
            item["files"][file]["content"]
            for item in self.streamed
            if file in (item.get("files") or {}) and (not run or item["run"] == run)
        ]
        return [json.loads(line) for part in parts for line in part]

    def artifacts(self) -> dict[str, set[str]]:
        """The files of every artifact, by its type."""
        types = {f"artifact-{n}": v["input"]["artifactTypeName"] for n, v in enumerate(self.sent("createArtifact("), 1)}
        found: dict[str, set[str]] = {}
        for variables in self.sent("createArtifactFiles"):
            for file in variables["input"]["artifactFiles"]:
                found.setdefault(types[file["artifactID"]], set()).add(file["name"])
        return found

    def everything(self, but: str = "-") -> bytes:
        """All it was sent, as bytes to look for something in; but: uploads that are left out, by how their path begins."""
        return json.dumps([self.operations, self.streamed]).encode() + b"".join(
            body for path, body in self.uploaded.items() if not path.startswith(but)
        )

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [variables for name, variables in self.operations if operation in name]

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
            if self.server.fails and self.server.fails in asked["query"]:
                self._answer({}, 500)
                return
            self._answer({"data": self._data(asked["query"], asked.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            self.server.streamed.append({**json.loads(body), "run": self.path.split("/")[-2]})
            self._answer({})
        else:
            self._answer({})

    def _data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "query Viewer" in query:
            return {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if "RunResumeStatus" in query:
            return {"model": self._resumed(variables["name"])}
        if "SweepWithRuns" in query:
            command = json.dumps({"command": self.server.sweep_command})
            names = ("name", "method", "state", "config", "bestLoss", "controller", "scheduler")
            return {"project": {"sweep": {**dict.fromkeys(names), "id": "s", "config": command, "runs": {"edges": []}}}}
        if "CreateAgent" in query:
            return {"createAgent": {"agent": {"id": "a"}}}
        if "Heartbeat" in query:
            given = [self.server.sweep.pop(0)] if self.server.sweep and variables["runState"] == "{}" else []
            commands = given or ([] if variables["runState"] != "{}" else [{"type": "exit"}])
            return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}
        if "UpsertBucket" in query:
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": variables["name"], "sweepName": None, "config": "{}"}
            return {"upsertBucket": {"bucket": {**bucket, "project": project, "historyLineCount": 0}, "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.server.address}/store/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if "query ArtifactType(" in query:  # of a project that has no artifacts of this type yet
            return {"project": {"artifact": None}}
        if "createArtifact(" in query:
            number = len(self.server.sent("createArtifact("))
            made = {"id": f"artifact-{number}", "state": "PENDING", "artifactSequence": {"id": "s", "latestArtifact": None}}
            return {"createArtifact": {"artifact": made}}
        if "createArtifactManifest(" in query:
            store = f"{self.server.address}/store/manifest-{len(self.server.operations)}"
            file: dict[str, Any] = {"id": "f", "name": "m", "displayName": "m", "uploadUrl": store, "uploadHeaders": []}
            return {"createArtifactManifest": {"artifactManifest": {"id": f"m{len(self.server.operations)}", "file": file}}}
        if "createArtifactFiles(" in query:
            store = f"{self.server.address}/store"
            edges: list[dict[str, Any]] = [
                {
                    "node": {
                        "id": str(n),
                        "name": file["name"],
                        "displayName": file["name"],
                        "uploadUrl": f"{store}/{file['artifactID']}/{n}",
                        "uploadHeaders": [],
                        "storagePath": None,
                        "uploadMultipartUrls": None,
                        "artifact": {"id": file["artifactID"]},
                    }
                }
                for n, file in enumerate(variables["input"]["artifactFiles"])
            ]
            return {"createArtifactFiles": {"files": {"edges": edges}}}
        if "query ArtifactByID" in query:
            return {"artifact": self._artifact(variables["id"])}
        if "commitArtifact(" in query:
            return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": "d"}}}
        if "useArtifact(" in query:
            return {
                "useArtifact": {
                    "artifact": {
                        "id": "u",
                        "digest": "d",
                        "description": "",
                        "state": "COMMITTED",
                        "createdAt": "2026-01-01T00:00:00Z",
                        "artifactSequence": {"id": "s"},
                    }
                }
            }
        if "notifyScriptableRunAlert(" in query:
            return {"notifyScriptableRunAlert": {"success": True}}
        return {}

    def _resumed(self, run: str) -> dict[str, Any] | None:
        """What the server has of a run already."""
        before = [v for v in self.server.sent("UpsertBucket") if v["name"] == run]
        if not before:
            return None
        history = self.server.history(run)
        summary = json.dumps(self.server.summary(run)) if history else "{}"
        tail = json.dumps([json.dumps(line) for line in history[-1:]])
        bucket = {
            "id": "b", "name": run, "displayName": run, "summaryMetrics": summary, "historyLineCount": len(history),
            "historyTail": tail, "eventsTail": "[]", "logLineCount": 0, "eventsLineCount": 0,
            "config": before[0]["config"], "tags": None, "notes": None, "wandbConfig": '{"t": 1}',
        }  # fmt: skip
        return {"id": "m", "name": "studio", "entity": {"id": "e", "name": "me"}, "bucket": bucket}

    def _artifact(self, id: str) -> dict[str, Any]:
        """A committed artifact, as far as the client looks at it."""
        asked = self.server.sent("createArtifact(")[int(id.rpartition("-")[2]) - 1]["input"]
        entity = {"name": "me"}
        project = {"id": "p", "internalId": "1", "name": "studio", "entity": entity}
        sequence = {"__typename": "ArtifactSequence", "name": asked["artifactCollectionName"], "project": project}
        empty = ("description", "metadata", "historyStep", "commitHash", "updatedAt")
        return {
            **dict.fromkeys(empty), "__typename": "Artifact", "id": id, "artifactSequence": sequence, "versionIndex": 0,
            "artifactType": {"name": asked["artifactTypeName"]}, "ttlDurationSeconds": -1, "ttlIsInherited": False,
            "tags": [], "state": "COMMITTED", "size": 1, "digest": "d", "digestAlgorithm": "MANIFEST_MD5", "fileCount": 1,
            "createdAt": "2026-01-01T00:00:00Z", "aliases": [],
        }  # fmt: skip

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
