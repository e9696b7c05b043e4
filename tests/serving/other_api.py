"""Somebody else's OpenAI-compatible API on the loopback: what it answers depends on the model's name."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-loopback-0123456789abcdef"
WORDS = ["The", " lamp", " costs", " 24", " euro", "."]
MODELS = ("good", "no-usage", "strict", "newer", "busy-once", "busy", "crowded", "cut", "broken", "thinking", "faulty")


@dataclass
class OtherApi:
    """The running service. bodies: what it was asked; most: the most requests at once; crowd: how many at once make it slow; 0:
    none do."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    active: int = 0
    most: int = 0
    crowd: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def other_api() -> Iterator[OtherApi]:
    """The service for the time of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def document(self, status: int, value: Any, **headers: str) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), text)
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status: int, message: str, **headers: str) -> None:
            self.document(status, {"error": {"message": message}}, **headers)

        def do_GET(self) -> None:
            if self.headers.get("authorization") == "Bearer wrong":
                self.refuse(401, "Incorrect API key provided")
                return
            listed = [{"id": name, "pricing": {"prompt": "0.0000001", "completion": "0.0000004"}} for name in MODELS]
            self.document(200, {"data": listed})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with api.lock:
                api.bodies.append(body)
                api.asked[body["model"]] += 1
                api.active += 1
                api.most = max(api.most, api.active)
            try:
                self.answer(body, body["model"])
            finally:
                with api.lock:
                    api.active -= 1

        def answer(self, body: dict[str, Any], model: str) -> None:
            if model == "strict" and "stream_options" in body:
                self.refuse(400, "Unrecognized request argument supplied: stream_options")
            elif model == "newer" and "max_tokens" in body:
                self.refuse(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
            elif model == "busy-once" and api.asked[model] == 1:
                self.refuse(429, "Rate limit reached", retry_after="0.05")
            elif model == "busy" or (model == "crowded" and api.active > 2):
                self.refuse(429, f"Rate limit reached for key {KEY}")
            elif model == "wordy":
                self.refuse(400, f"{'x' * 190} {KEY}")
            elif model == "faulty":
                self.refuse(500, "Internal error")
            else:
                self.stream(model)

        def stream(self, model: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.event(": a comment that keeps the connection open")
            if model == "thinking":
                self.data({"choices": [{"delta": {"reasoning": "Hmm"}}]})
            if model == "broken":
                self.data({"error": {"code": 502, "message": "Provider returned error"}})
                return
            if model == "overloaded":
                for odd in (5, [], {"choices": [None]}):
                    self.data(odd)
                self.data({"error": "Overloaded"})
                return
            for word in WORDS[:2] if model == "cut" else WORDS:
                time.sleep(0.2 if 0 < api.crowd <= api.active else 0.002)
                self.data({"choices": [{"delta": {"content": word}}]})
            if model == "cut":
                self.close_connection = True
                self.connection.close()
                return
            self.data({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            if model not in ("no-usage", "strict"):
                self.data({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 7}})
            self.event("data: [DONE]")
            self.wfile.write(b"0\r\n\r\n")

        def data(self, value: Any) -> None:
            self.event(f"data: {json.dumps(value)}")

        def event(self, line: str) -> None:
            told = f"{line}\n\n".encode()
            self.wfile.write(f"{len(told):x}\r\n".encode() + told + b"\r\n")
            self.wfile.flush()

    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = OtherApi(f"http://127.0.0.1:{service.server_port}/v1")
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    yield api
    service.shutdown()
    service.server_close()
    thread.join(5)
