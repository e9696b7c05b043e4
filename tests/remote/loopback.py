"""An OpenAI-compatible API on this machine for tests: answers by a function, bills exactly, and errs by a seed.

Whether a request meets a fault depends on the seed, on what is asked and on how often it was asked, never on the order in
which threads come: a test sees the same faults each time.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], str]
"""From the body of a request to the text of the answer."""


@dataclass(frozen=True)
class Faults:
    """Shares of the requests that meet each fault, and what the API does not take at all."""

    seed: int = 0
    rate_limit: float = 0.0
    """429 with Retry-After."""
    unavailable: float = 0.0
    """503."""
    dropped: float = 0.0
    """Billed, and the connection closed without an answer."""
    torn: float = 0.0
    """Billed, and the answer's body ends in the middle."""
    cut_off: float = 0.0
    """`finish_reason: length`, the text cut."""
    fenced: float = 0.0
    """JSON in a fence with prose around it."""
    without_usage: float = 0.0
    retry_after: float = 0.02
    seconds: float = 0.0
    """What an answer takes."""
    refuses: tuple[str, ...] = ()
    """Parameters that are refused with 400 by name; `json_schema` and `json_object` are kinds of response_format."""
    status: int = 0
    """A status every request is refused with."""


class Loopback:
    """The API: what it received, answered and billed. bills: prompt and completion tokens of every answer."""

    def __init__(self, answer: Answer, faults: Faults, served_model: str, key: str = "") -> None:
        self.answer, self.faults, self.served_model, self.key = answer, faults, served_model, key
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bills: list[tuple[int, int]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self._tries: Counter[str] = Counter()
        self.url = ""
        self.connections: list[socket.socket] = []
        self.stop: Callable[[], object] = lambda: None
        """Stops listening and cuts what is connected, in the middle of the block."""

    @property
    def prompts(self) -> list[str]:
        """The text of every request that came, also of those that met a fault."""
        return ["\n".join(str(message["content"]) for message in body["messages"]) for body in self.received]

    def billed(self, input_price: float, output_price: float) -> float:
        """US dollars, by prices per million tokens."""
        return sum(read * input_price + written * output_price for read, written in self.bills) / 1e6

    def draw(self, body: dict[str, Any]) -> random.Random:
        """The dice of this try of this request."""
        content = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()
        with self.lock:
            self._tries[content] += 1
            tries = self._tries[content]
        return random.Random(f"{self.faults.seed} {content} {tries}")


@contextmanager
def loopback(
    answer: Answer | str = "ok", faults: Faults | None = None, served_model: str = "", port: int = 0, key: str = ""
) -> Iterator[Loopback]:
    """The API, running for as long as the block; its base URL is `.url`. port: 0 takes a free one; key: what it is asked
    with, any or none if empty."""
    said = (lambda body: answer) if isinstance(answer, str) else answer
    api = Loopback(said, faults or Faults(), served_model, key)
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"api": api}))
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        for connection in api.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    api.stop = stop
    api.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tokens_of(text: str) -> int:
    """What the API counts: one token for four characters."""
    return -(-len(text) // 4)


class _Handler(BaseHTTPRequestHandler):
    api: Loopback
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.api.connections.append(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "canned"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        api = self.api
        with api.lock:
            api.received.append(body)
            api.headers.append(dict(self.headers.items()))
            api.at_once += 1
            api.most_at_once = max(api.at_once, api.most_at_once)
        try:
            self._answer(body)
        finally:
            with api.lock:
                api.at_once -= 1

    def _answer(self, body: dict[str, Any]) -> None:
        api, faults = self.api, self.api.faults
        if api.key and self.headers.get("authorization") != f"Bearer {api.key}":
            return self._send(401, {"error": {"message": "no valid key"}})
        if faults.status:
            return self._send(faults.status, {"error": {"message": "refused by the test"}})
        kind = (body.get("response_format") or {}).get("type", "")
        for name in faults.refuses:
            if name in body or name == kind:
                what = f"response_format {name}" if name == kind else name
                return self._send(400, {"error": {"message": f"Unsupported parameter: {what}"}})
        dice = api.draw(body)
        chance = dice.random()
        time.sleep(faults.seconds)
        if chance < faults.rate_limit:
            return self._send(429, {"error": {"message": "slow down"}}, {"retry-after": str(faults.retry_after)})
        if (chance := chance - faults.rate_limit) < faults.unavailable:
            return self._send(503, {"error": {"message": "overloaded"}}, {"retry-after": str(faults.retry_after)})
        text, finish = api.answer(body), "stop"
        limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 10**6)
        if dice.random() < faults.cut_off or tokens_of(text) > limit:
            text, finish = text[: min(len(text) // 2, 4 * limit)], "length"
        elif dice.random() < faults.fenced and kind:
            text = f"Here you are:\n```json\n{text}\n```\nI hope this helps."
        read = sum(tokens_of(str(message["content"])) + 4 for message in body["messages"])
        with api.lock:
            api.bills.append((read, tokens_of(text)))
        if (chance - faults.unavailable) < faults.dropped:
            self.close_connection = True
            return None
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [_token(word) for word in text.split()]}
        answer = {"id": "1", "object": "chat.completion", "model": api.served_model or body["model"], "choices": [choice]}
        if dice.random() >= faults.without_usage:
            answer["usage"] = {"prompt_tokens": read, "completion_tokens": tokens_of(text)}
        return self._send(200, answer, torn=dice.random() < faults.torn)

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None, torn: bool = False) -> None:
        content = json.dumps(value).encode()
        content = content[: len(content) // 2] if torn else content
        self.send_response(status)
        for name, header in {
            "content-type": "application/json",
            "content-length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(name, header)
        self.end_headers()
        self.wfile.write(content)


def _token(word: str) -> dict[str, Any]:
    return {"token": word, "logprob": -0.1, "top_logprobs": [{"token": word, "logprob": -0.1}, {"token": "?", "logprob": -2.4}]}
