"""A model hub on the loopback: its listing, trees, redirects to large files, ranges, and its refusals."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OWNER, NAME = "acme", "model"
MODEL = f"{OWNER}/{NAME}"


class LoopbackHub:
    """One repository, `acme/model`, and how the hub behaves."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.refuses: tuple[int, str] | None = None
        """Status and error code of every answer."""
        self.cut_after: int | None = None
        """Bytes of a weights file after which the connection ends."""
        self.corrupt = False
        """Weights come with a byte changed."""
        self.ranges: list[str] = []
        """Ranges that were asked for."""
        self.fetched: list[str] = []
        self.revisions: set[str] = set()

    def large(self, file: str) -> bool:
        """Whether a file is kept apart and redirected to."""
        return file.endswith(".safetensors")


@contextmanager
def serving(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """Inside, the hub's client asks this hub and keeps what it gets in `cache`."""
    from huggingface_hub import constants

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *values: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

        def do_GET(self) -> None:
            _answer(hub, self)

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _answer(hub: LoopbackHub, http: Any) -> None:
    path = http.path.partition("?")[0].strip("/")
    if path.startswith("cdn/"):
        return _large(hub, http, path.removeprefix("cdn/"))
    if hub.refuses:
        status, code = hub.refuses
        headers = {"X-Error-Code": code} if code else {"Retry-After": "7"} if status == 429 else {}
        return _send(http, status, b"{}", headers)
    if path == f"api/models/{MODEL}" or path.startswith(f"api/models/{MODEL}/revision/"):
        hub.revisions.add(path.rpartition("/")[2])
        about = {"id": MODEL, "sha": COMMIT, "cardData": {"license": "mit"}, "siblings": [{"rfilename": f} for f in hub.files]}
        return _send(http, 200, json.dumps(about).encode())
    if path.startswith(f"api/models/{MODEL}/tree/"):
        return _send(http, 200, json.dumps([_entry(hub, name) for name in hub.files]).encode())
    if path.startswith(f"{MODEL}/resolve/"):
        return _file(hub, http, path.removeprefix(f"{MODEL}/resolve/").partition("/")[2])
    return _send(http, 404, b"{}", {"X-Error-Code": "RepoNotFound"})


def _entry(hub: LoopbackHub, name: str) -> dict[str, Any]:
    content = hub.files[name]
    large = {"lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}}
    oid = hashlib.sha1(content).hexdigest()
    return {"type": "file", "path": name, "size": len(content), "oid": oid, **(large if hub.large(name) else {})}


def _file(hub: LoopbackHub, http: Any, file: str) -> None:
    content = hub.files.get(file)
    if content is None:
        return _send(http, 404, b"", {"X-Error-Code": "EntryNotFound"})
    headers = {"X-Repo-Commit": COMMIT}
    if hub.large(file):
        checksum = hashlib.sha256(content).hexdigest()
        headers |= {
            "X-Linked-Etag": f'"{checksum}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"http://localhost:{http.server.server_port}/cdn/{file}",
        }
        return _send(http, 302, b"", headers)
    hub.fetched += [file] if http.command == "GET" else []
    return _send(http, 200, content, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})


def _large(hub: LoopbackHub, http: Any, file: str) -> None:
    content = hub.files[file]
    if hub.corrupt:
        content = content[:-1] + bytes([content[-1] ^ 1])
    asked = http.headers.get("Range", "")
    start = 0
    if asked:
        hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").partition("-")[0])
    hub.fetched += [file] if http.command == "GET" else []
    headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
    part = content[start:]
    if hub.cut_after is not None and http.command == "GET" and len(part) > hub.cut_after:
        _send(http, 206 if asked else 200, part, headers, most=hub.cut_after)
        http.close_connection = True
        return None
    return _send(http, 206 if asked else 200, part, headers)


def _send(http: Any, status: int, body: bytes, headers: dict[str, str] | None = None, most: int | None = None) -> None:
    http.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        http.send_header(name, value)
    http.end_headers()
    if http.command == "GET":
        http.wfile.write(body[:most])
