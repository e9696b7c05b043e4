"""A loopback hub: the part of its HTTP API that the real `huggingface_hub` client uses to make a repository and commit."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_" + "loopback" * 3


@dataclass
class Hub:
    """What it holds, what it was asked, and how it is told to misbehave."""

    url: str = ""
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name to {"private": bool, "files": {path: bytes}, "commits": [oid]}."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """LFS content by SHA-256."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    fail: dict[str, int] = field(default_factory=dict)
    """Part of a path to the status it is answered with."""
    break_upload: int = 0
    """After so many LFS uploads the next ones fail; 0: never."""

    def reset(self) -> None:
        for value in (self.repositories, self.blobs, self.asked, self.uploads, self.headers, self.fail):
            value.clear()
        self.break_upload = 0


def serve(hub: Hub) -> ThreadingHTTPServer:
    """Start it on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *values: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass

    def do_GET(self) -> None:
        self._answered("GET")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answered("POST")

    def do_PUT(self) -> None:
        self._answered("PUT")

    def _answered(self, verb: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        self.hub.asked.append((verb, path))
        self.hub.headers.append(self.headers.get("authorization", ""))
        status = next((code for part, code in self.hub.fail.items() if part in path), 0)
        if status:
            self._say(status, {"error": "as told"})
        elif path.startswith("/blob/"):
            self._blob(path.rpartition("/")[2], body)
        elif self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._say(401, {"error": "Invalid username or password."})
        else:
            self._api(verb, path, body)

    def _api(self, verb: str, path: str, body: bytes) -> None:
        hub = self.hub
        if path == "/api/whoami-v2":
            self._say(200, {"name": "me", "type": "user"})
        elif path == "/api/validate-yaml":
            self._say(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if asked["organization"] != "me":
                self._say(403, {"error": "You don't have the rights to create a model under this namespace"})
                return
            hub.repositories.setdefault(name, {"private": asked["visibility"] == "private", "files": {}, "commits": []})
            self._say(200, {"url": f"{hub.url}/{name}", "name": name, "id": name})
        elif path.endswith("/objects/batch"):
            self._batch(json.loads(body))
        elif path.startswith("/api/models/"):
            self._model(verb, path.removeprefix("/api/models/").split("/"), body)
        else:
            owner, name, _, _, file = path.strip("/").split("/", 4)
            content = hub.repositories[f"{owner}/{name}"]["files"].get(file)
            self._raw(200 if content is not None else 404, content or b"", {"etag": '"x"', "x-repo-commit": "0" * 40})

    def _model(self, verb: str, parts: list[str], body: bytes) -> None:
        name = "/".join(parts[:2])
        there = self.hub.repositories.get(name)
        if there is None:
            self._say(404, {"error": "Repository not found"}, {"x-error-code": "RepoNotFound"})
        elif parts[2:3] == ["preupload"]:
            files = json.loads(body)["files"]
            lfs = (".safetensors", ".gguf", ".json.lfs")
            modes = [
                {"path": item["path"], "uploadMode": "lfs" if item["path"].endswith(lfs) else "regular", "shouldIgnore": False}
                for item in files
            ]
            self._say(200, {"files": modes})
        elif parts[2:3] == ["commit"]:
            self._commit(there, [json.loads(line) for line in body.splitlines()], name)
        else:
            files = [{"rfilename": path} for path in there["files"]]
            sha = there["commits"][-1] if there["commits"] else "0" * 40
            self._say(200, {"id": name, "private": there["private"], "siblings": files, "sha": sha})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for item in asked["objects"]:
            said = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.blobs:
                said["actions"] = {"upload": {"href": f"{self.hub.url}/blob/{item['oid']}", "header": {}}}
            objects.append(said)
        self._say(200, {"transfer": "basic", "objects": objects})

    def _blob(self, oid: str, body: bytes) -> None:
        if self.hub.break_upload and len(self.hub.uploads) >= self.hub.break_upload:
            self._say(400, {"error": "broken off"})
            return
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self.hub.uploads.append(oid)
        self._say(200, {})

    def _commit(self, there: dict[str, Any], lines: list[dict[str, Any]], name: str) -> None:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "file":
                    there["files"][value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    there["files"][value["path"]] = self.hub.blobs[value["oid"]]
                case "deletedFile":
                    del there["files"][value["path"]]
        oid = hashlib.sha1(repr(lines).encode()).hexdigest()
        there["commits"].append(oid)
        self._say(200, {"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid})

    def _say(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})

    def _raw(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
