"""The command as its users run it, and the clients they ask it with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.models.starter import folder

pytestmark = pytest.mark.torch

CLIENTS = {"openai": "openai", "litellm": "litellm", "langchain": "langchain_openai", "lm-eval": "lm_eval"}
"""Clients and the module each is in. `STUDIO_CLIENTS_PYTHON` names the Python of an environment that has them."""


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    url: str
    key: str


@pytest.fixture(scope="module")
def running(adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`studio serve` on an adapter, with an API key."""
    home = tmp_path_factory.mktemp("home")
    made = subprocess.run(
        [sys.executable, "-m", "studio", "serve", "--new-key", "tests", "--home", str(home)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    key, shop = made.stdout.strip(), str(adapters["shop"])
    words = ["serve", shop, "--name", f"shop={shop}", "--port", "0", "--api-key-file", str(home / "api-keys"), "--drain", "5"]
    process = subprocess.Popen([sys.executable, "-m", "studio", *words, "--home", str(home)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if line.startswith("serving "):
            break
    else:
        pytest.fail("".join(told))
    threading.Thread(target=process.stderr.read, daemon=True).start()
    yield Running(process, told[-1].split()[-1], key)
    if process.poll() is None:
        process.kill()
    process.wait()


def python_for(client: str) -> str:
    given = os.environ.get("STUDIO_CLIENTS_PYTHON")
    if client == "openai" or not given:
        pytest.importorskip(CLIENTS[client], reason="set STUDIO_CLIENTS_PYTHON to an environment with the `clients` extra")
        return sys.executable
    return given


def ask(client: str, running: Running) -> dict[str, Any]:
    words = [python_for(client), str(Path(__file__).parent / "clients.py"), client, running.url, running.key, "shop"]
    done = subprocess.run([*words, str(folder())], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("client", list(CLIENTS))
def test_a_real_client_gets_its_answers(client: str, running: Running) -> None:
    found = ask(client, running)
    print(client, found)
    asked = {"model": "shop", "messages": [{"role": "user", "content": "What colour is the sky?"}], "max_tokens": 20}
    headers = {"authorization": f"Bearer {running.key}"}
    plain = httpx.post(f"{running.url}/chat/completions", json=asked, headers=headers, timeout=300).json()
    assert found["answer"] == plain["choices"][0]["message"]["content"]
    assert found.get("streamed", found["answer"]) == found["answer"]
    match client:
        case "openai":
            assert found["usage"]
            assert found["parsed"]
            assert found["refused"]
            assert found["models"] == ["shop", "starter"]
        case "litellm":
            assert found["too_long"] == "ContextWindowExceededError"
        case "langchain":
            assert found["calls"] == ["get_price"]
        case "lm-eval":
            assert found["accuracy"] in (0.0, 1.0)  # two equal rows: the log-likelihoods came back and were compared


def test_no_one_asks_without_a_key(running: Running) -> None:
    assert httpx.get(f"{running.url}/models").status_code == 401
    assert httpx.get(f"{running.url.removesuffix('/v1')}/metrics").status_code == 401
    assert httpx.get(f"{running.url.removesuffix('/v1')}/health").status_code == 200


def test_an_answer_under_way_is_finished_when_the_server_is_asked_to_end(running: Running) -> None:
    """The last test on this server: it ends it."""
    asked = {"model": "shop", "messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 60, "stream": True}
    headers = {"authorization": f"Bearer {running.key}"}
    with httpx.stream("POST", f"{running.url}/chat/completions", json=asked, headers=headers, timeout=300) as answer:
        lines = answer.iter_lines()
        next(lines)
        running.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    begun = time.monotonic()
    assert running.process.wait(10) == 0
    assert time.monotonic() - begun < 10
