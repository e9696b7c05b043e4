"""One server in this process for all protocol tests: the starter with two random adapters on it, and a GGUF file of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.models.settings import Model
from tests.export.conftest import make_adapter
from tests.tiny import THREADS


@dataclass(frozen=True)
class Server:
    """A running server. models: what it serves, with its schedulers; home: where the answers of `desk` are collected."""

    url: str
    models: dict[str, Any]
    home: Path

    def post(self, path: str = "/chat/completions", **values: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=values, timeout=600)

    def chat(self, text: str, model: str = "starter", **values: Any) -> dict[str, Any]:
        done = self.post(model=model, messages=[{"role": "user", "content": text}], **values)
        assert done.status_code == 200, done.text
        return done.json()


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two different adapters on the starter in float32."""
    import torch

    torch.set_num_threads(THREADS)
    folder = tmp_path_factory.mktemp("adapters")
    held = Model(name="starter", quantization="none", dtype="fp32", attention="sdpa")
    return {name: make_adapter(held, folder / name, strength) for name, strength in (("shop", 0.05), ("desk", 0.08))}


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter as a GGUF file."""
    from studio.export.llamacpp import writer
    from studio.export.prompts import portable_template
    from studio.models import loading
    from studio.models.generation import stop_ids

    found = loading.find(Model(name="starter"))
    tokenizer = loading.tokenizer(found)
    ends = stop_ids(tokenizer)
    out = tmp_path_factory.mktemp("gguf") / "starter-f16.gguf"
    ending = writer.Ending(eos=ends[0], all=ends, pad=tokenizer.pad_token_id, bos=None, add_bos=False)
    writer.write(found.folder, out, "f16", name="starter", ending=ending, template=portable_template(tokenizer))  # pyright: ignore[reportArgumentType]
    return out


@pytest.fixture(scope="session")
def server(adapters: dict[str, Path], gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server all protocol tests ask: limits small enough to reach."""
    from studio.http.server import listen
    from studio.serving import server as servers
    from studio.serving.application import Dispatcher
    from studio.serving.assemble import Source, assemble
    from studio.serving.collecting import Collector, Origin
    from studio.serving.limits import Limits

    held = Model(name="starter", quantization="none", dtype="fp32")
    wanted = [Source(name, name, held, folder, threads=THREADS) for name, folder in adapters.items()]
    wanted.append(Source(str(gguf), "gguf", gguf=gguf, threads=THREADS))
    limits = Limits(concurrency=4, queue=4, tokens=300, body=64 << 10, drain=1)
    dispatcher, listener = Dispatcher(), listen("127.0.0.1", 0)
    models = assemble(wanted, limits, "cpu", 1, dispatcher)
    home = tmp_path_factory.mktemp("collecting")
    collector = Collector(home, {"desk": Origin("desk-1", ("DE",), "manuals")})
    models["desk"] = replace(models["desk"], collector=collector)
    app = servers.application(models, dispatcher, limits, None)
    ready, ended = threading.Event(), threading.Event()
    running = threading.Thread(target=servers.serve, args=(app, listener, limits, ready.set, ended), daemon=True)
    running.start()
    assert ready.wait(120)
    yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", models, home)
    ended.set()
    running.join(20)
    collector.close()
